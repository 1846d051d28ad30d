"""What `azr plan` says of speed: where its latencies come from, the model's forecasts with them, and how they are shown.

    --run RUN           recorded in a run's telemetry, scaled to the size of the planned steps
    --assume NAME=S     given; it goes before what is recorded
    neither             assumed, where a measurement is near (a small model on CPU); else there is no forecast

Each latency is shown with its source. Starts nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path
from statistics import fmean

from rich.table import Table

from configs.errors import ConfigError, UserError
from configs.loader import load_config
from configs.schema import RunConfig
from selfplay.simulation.engine import Speed
from selfplay.simulation.forecast import Forecast, fewest, forecast, game_of, shortest, splits
from selfplay.simulation.latencies import NOTHING, Latencies
from selfplay.simulation.recorded import read_latencies
from tasks.records import Kind, Role

SPEED = ("step_s", "sequence_s", "load_s")
STAGES = ("references_s", "verify_s", "grade_s", "judge_s", "update_s", "publish_s", "store_s", "tell_s")
LENGTHS = {"propose_tokens": Role.PROPOSE, "solve_tokens": Role.SOLVE}
NAMES = (*SPEED, *STAGES, *LENGTHS, "admitted", "rank_efficiency")
SHARES = {"admitted": "from 0 to 1", "rank_efficiency": "above 0.5 and at most 1"}
NO_TIME = "assumed: nothing"
ADMITTED, RANK_EFFICIENCY = 0.75, 0.9
MEANINGS = {
    "step_s": "an engine step",
    "sequence_s": "and for each running sequence",
    "load_s": "a generator's pause to load",
    "references_s": "opening a batch",
    "verify_s": "admitting one proposal",
    "grade_s": "grading one attempt",
    "judge_s": "rewards of a batch",
    "update_s": "the update on a batch",
    "publish_s": "a publication",
    "store_s": "buffers, event log",
    "tell_s": "metrics, telemetry",
    "propose_tokens": "of a proposal",
    "solve_tokens": "of an attempt",
    "admitted": "share of the proposals",
    "rank_efficiency": "of an ideal doubling of ranks",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One latency as it is shown: its mean."""

    name: str
    value: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The model's word on the recorded run itself, beside what its steps took."""

    recorded_s: float
    model_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What forecasts are made with."""

    latencies: Latencies
    rank_efficiency: float
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()
    check: Check | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecasts:
    """The layouts that were asked for, and the best of them: the shortest step of all GPUs, else the fewest for it."""

    seed: int
    gpus: int
    layouts: tuple[Forecast, ...]
    best: Forecast
    basis: Basis


def parse_given(words: Sequence[str]) -> dict[str, float]:
    """NAME=VALUE, as in update_s=2.5."""
    given = {}
    for word in words:
        name, _, text = word.partition("=")
        if name not in NAMES:
            raise ConfigError(f"--assume must name one of {', '.join(NAMES)}, got {name!r}")
        try:
            given[name] = float(text)
        except ValueError:
            raise ConfigError(f"--assume must be NAME=NUMBER, got {word!r}") from None
        if not 0 <= given[name] <= (1 if name in SHARES else inf) or (name == "rank_efficiency" and given[name] <= 0.5):
            raise ConfigError(f"--assume {name} must be {SHARES.get(name, 'at least 0')}, got {text}")
    return given


def recorded_basis(config: RunConfig, run_dir: Path, given: Mapping[str, float]) -> Basis:
    """From a run of any size; what depends on the size of a step or on the ranks is scaled."""
    if not (run_dir / "config.yaml").is_file():
        raise UserError(f"{run_dir} is not a run directory (no config.yaml); `azr runs` lists them")
    run = load_config(str(run_dir / "config.yaml"))
    recorded = read_latencies(run_dir, run)
    game, played = game_of(config, 1), game_of(run, 1)
    missing = [kind for kind in game.work if (kind, Role.SOLVE) not in recorded.latencies.tokens]
    if missing:
        raise UserError(f"{run_dir} has no attempts of {', '.join(missing)}; give a run that plays the kinds of the plan")
    own = recorded.latencies.scaled(1, 1)
    latencies = own.scaled(game.rollouts / played.rollouts, config.learner.world_size / run.learner.world_size)
    latencies = replace(latencies, speed=replace(own.speed, slots=config.generators.max_num_seqs))
    source = f"recorded, {recorded.num_steps} steps"
    sources = dict.fromkeys(NAMES, source) | {"rank_efficiency": "assumed"}
    step_s = forecast(run, own, run.generators.count, run.learner.world_size).step_s
    basis = _basis(latencies, given, sources)
    return replace(basis, notes=recorded.notes, check=Check(recorded_s=recorded.step_s, model_s=step_s))


def assumed_basis(config: RunConfig, given: Mapping[str, float], near: Mapping[str, float]) -> Basis | None:
    """`near`: what was measured of a model of this size. None where generating or updating would be a guess."""
    known = {**near, **given}
    if "update_s" not in known or not known.keys() & {"step_s", "sequence_s"}:
        return None
    longest = {Role.PROPOSE: float(config.proposer.max_tokens), Role.SOLVE: float(config.solver.max_tokens)}
    latencies = Latencies(
        speed=Speed(step_s=0.0, slots=config.generators.max_num_seqs),
        tokens={(Kind(name), role): (size,) for name in config.family.kinds for role, size in longest.items()},
        admitted=dict.fromkeys(Kind, ADMITTED),
        update_s=NOTHING,
    )
    sources = dict.fromkeys(NAMES, NO_TIME) | dict.fromkeys(near, "assumed: 2 CPU cores")
    sources |= dict.fromkeys(LENGTHS, "assumed: longest") | dict.fromkeys(SHARES, "assumed")
    return _basis(_with(latencies, near), given, sources)


def foretell(config: RunConfig, basis: Basis, generators: Sequence[int], gpus: int) -> Forecasts:
    """For each number of generators. With `gpus` the rest of them are learner ranks; with no number the best is looked for."""

    def of(number: int) -> Forecast:
        ranks = gpus - number if gpus else config.learner.world_size
        return forecast(config, basis.latencies, number, ranks, basis.rank_efficiency)

    if gpus == 1:
        raise ConfigError("--gpus must be at least 2, a generator's and a learner's, got 1")
    wrong = [number for number in generators if number < 1 or (gpus and number >= gpus)]
    if wrong:
        raise ConfigError(f"--generators must be above 0{f' and below --gpus {gpus}' if gpus else ''}, got {wrong[0]}")
    looked_for = gpus and not generators
    layouts = splits(gpus, of) if looked_for else [of(number) for number in generators or (config.generators.count,)]
    best = shortest(layouts) if gpus else fewest(layouts)
    return Forecasts(seed=config.seed, gpus=gpus, layouts=tuple(layouts), best=best, basis=basis)


def forecast_lines(made: Forecasts) -> Iterator[str]:
    """What stands around the tables."""
    check, best = made.basis.check, made.best
    if check:
        off = check.model_s / check.recorded_s - 1
        yield f"model          a step of the run itself: {check.model_s:.3g} s, recorded {check.recorded_s:.3g} s ({off:+.0%})"
    yield from (f"note           {note}" for note in made.basis.notes)
    ratio = f"{best.generators} generators to {best.ranks} learner ranks"
    yield f"best           {ratio}, {best.step_s:.3g} s a step (model, seed {made.seed}; evaluations and checkpoints left out)"


def latency_table(basis: Basis) -> Table:
    """What is assumed to take no time has no line."""
    table = Table("latency", "mean", "of what", "source", title="latencies", title_justify="left", box=None)
    for figure in basis.figures:
        if figure.value or figure.source != NO_TIME:
            table.add_row(figure.name, f"{figure.value:.4g}", MEANINGS[figure.name], figure.source)
    return table


def layout_table(made: Forecasts) -> Table:
    """Shares of the time: generators busy, learner in its updates, and waiting. Of the rollouts: how many versions behind."""
    table = Table(title="forecast", title_justify="left", box=None)
    for head in ("generators", "ranks", "step", "tokens/s", "gen. busy", "update", "wait"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("behind")
    for item in made.layouts:
        shares = (f"{share:.0%}" for share in (item.generators_busy, item.learner_busy, item.learner_waits))
        behind = " ".join(f"{lag}:{share:.0%}" for lag, share in item.staleness.items())
        cells = (str(item.generators), str(item.ranks), f"{item.step_s:.3g} s", f"{item.tokens_per_s:.0f}", *shares, behind)
        table.add_row(*cells, style="bold" if item is made.best else "")
    return table


def forecast_json(made: Forecasts) -> dict[str, object]:
    basis = made.basis
    return {
        "seed": made.seed,
        "gpus": made.gpus,
        "latencies": {figure.name: {"value": figure.value, "source": figure.source} for figure in basis.figures},
        "check": asdict(basis.check) if basis.check else None,
        "notes": list(basis.notes),
        "layouts": [asdict(item) for item in made.layouts],
        "best": {"generators": made.best.generators, "ranks": made.best.ranks, "step_s": made.best.step_s},
    }


def _basis(latencies: Latencies, given: Mapping[str, float], sources: Mapping[str, str]) -> Basis:
    made = _with(latencies, given)
    efficiency = given.get("rank_efficiency", RANK_EFFICIENCY)
    values = {name: getattr(made.speed, name) for name in SPEED} | {name: fmean(getattr(made, name)) for name in STAGES}
    for name, role in LENGTHS.items():
        values[name] = fmean(size for (_, of), sizes in made.tokens.items() if of is role for size in sizes)
    values |= {"admitted": fmean(made.admitted.values()), "rank_efficiency": efficiency}
    named = {**sources, **dict.fromkeys(given, "given")}
    figures = tuple(Figure(name=name, value=values[name], source=named[name]) for name in NAMES)
    return Basis(latencies=made, rank_efficiency=efficiency, figures=figures)


def _with(latencies: Latencies, given: Mapping[str, float]) -> Latencies:
    """With constants in the place of what is given."""
    roles = {role: given[name] for name, role in LENGTHS.items() if name in given}
    tokens = {key: (roles[key[1]],) if key[1] in roles else sizes for key, sizes in latencies.tokens.items()}
    admitted = {kind: given.get("admitted", share) for kind, share in latencies.admitted.items()}
    known = latencies.speed
    speed = Speed(slots=known.slots, **{name: given.get(name, getattr(known, name)) for name in SPEED})
    stages = {name: (given[name],) for name in STAGES if name in given}
    return replace(latencies, speed=speed, tokens=tokens, admitted=admitted, **stages)
