"""What each arm of an experiment came to: its finished runs, read and put together over their seeds. Reads only.

Owns the figures of the table: what is "the end" of a run, which runs count, what is compared with what. An arm is a
configuration, a run is an arm with a seed. Only finished runs count. What an arm does not have (a fixed data set has no
proposer) is absent, never 0. Does not: draw, write, or know how runs are started.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from telemetry.heldout import SuiteMarks, read_marks
from telemetry.history import History, read_history
from telemetry.paired import Estimate, accuracy, bootstrap_mean
from telemetry.records import Phase

END_SHARE = 0.1  # the last tenth of a run's steps is its end
ENTROPY = "all/of_seeds"  # over all traits together, against as many draws from the seeds
DRAWN = (("reward/", "/propose"), ("valid/", ""), ("buffer/", ""), ("diversity/", f"/{ENTROPY}"))  # by kind
Curve = tuple[tuple[float, float], ...]  # (tokens generated in self-play, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What the experiment is about; `text` is its file."""

    name: str
    question: str
    base: str
    suite: str
    baseline: str
    token_budget: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRuns:
    """An arm's finished runs by seed, of the `seeds` that are wanted."""

    arm: str
    runs: Mapping[int, Path]
    seeds: tuple[int, ...]
    own_start: bool = False  # starts from another model than the baseline


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """One run. Figures by kind are named by it; curves by scalar."""

    tokens: float
    seconds: float  # of self-play steps, evaluations within them included
    suites: dict[str, SuiteMarks]
    valid: dict[str, float]  # share admitted, at the end
    growth: dict[str, float]  # buffer at the end over buffer after seeding
    entropy: dict[str, float]  # of new tasks at the end, over that of the seeds
    reward: dict[str, float]  # of the proposer, over the whole run
    zero_std: float | None  # share of tasks without a signal, at the end
    curves: dict[str, Curve] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteFigures:
    """One suite over an arm's runs, on the items that all arms were asked.

    An arm that shares none with the others has its own figures and no `difference` (final − the baseline's final).
    """

    num_items: int
    num_left_out: int  # asked of this arm, and not of all
    before: Estimate
    after: Estimate
    rise: Estimate
    difference: Estimate | None
    by_seed: dict[int, tuple[float, float]]  # accuracy before and after


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmFigures:
    runs: ArmRuns
    by_seed: dict[int, RunFigures]
    suites: dict[str, SuiteFigures]

    def mean(self, name: str) -> dict[str, float]:
        """A figure by kind (`valid`, `growth`, `entropy`, `reward`), averaged over the runs that have it."""
        figures = [getattr(run, name) for run in self.by_seed.values()]
        kinds = dict.fromkeys(kind for figure in figures for kind in figure)
        return {kind: fmean(figure[kind] for figure in figures if kind in figure) for kind in kinds}

    @property
    def zero_std(self) -> float | None:
        values = [run.zero_std for run in self.by_seed.values() if run.zero_std is not None]
        return fmean(values) if values else None

    @property
    def tokens(self) -> float | None:
        return fmean(run.tokens for run in self.by_seed.values()) if self.by_seed else None

    @property
    def seconds(self) -> float | None:
        return fmean(run.seconds for run in self.by_seed.values()) if self.by_seed else None

    def is_short(self, token_budget: int) -> bool:
        """Whether one of the runs ended before it had generated its tokens."""
        return any(run.tokens < token_budget for run in self.by_seed.values())


def read_arms(arms: Sequence[ArmRuns], baseline: str) -> list[ArmFigures]:
    """In the order given. OSError or ValueError for a run whose files cannot be read."""
    read = {arm.arm: {seed: read_run(path) for seed, path in arm.runs.items()} for arm in arms}
    suites = dict.fromkeys(suite for runs in read.values() for run in runs.values() for suite in run.suites)
    figures: dict[str, dict[str, SuiteFigures]] = {arm.arm: {} for arm in arms}
    for suite in suites:
        marks = {
            arm: {seed: run.suites[suite] for seed, run in runs.items() if suite in run.suites} for arm, runs in read.items()
        }
        shared = shared_items([*marks[baseline].values(), *(one for runs in marks.values() for one in runs.values())])
        for arm, own in marks.items():
            if own:
                figures[arm][suite] = _suite(own, {} if arm == baseline else marks[baseline], shared)
    return [ArmFigures(runs=arm, by_seed=read[arm.arm], suites=figures[arm.arm]) for arm in arms]


def shared_items(marks: Sequence[SuiteMarks]) -> tuple[str, ...]:
    """The items of the first that all the others have; one that would leave none has no say. () without runs."""
    if not marks:
        return ()
    shared = set(marks[0].items)
    for other in marks[1:]:
        shared = shared.intersection(other.items) or shared
    return tuple(name for name in marks[0].items if name in shared)


def read_run(run_dir: Path) -> RunFigures:
    history = read_history(run_dir)
    played = History([line for line in history.lines if line["phase"] == Phase.SELF_PLAY])
    valid = _by_kind(played, "valid/")
    return RunFigures(
        tokens=max((point.value for point in played.series("tokens/total")), default=0.0),
        seconds=sum(point.value for point in played.series("time/step") if point.step > 0),
        suites=read_marks(run_dir),
        valid=_at_end(played, valid),
        growth=_growth(history, has_proposer=bool(valid)),
        entropy=_at_end(played, _by_kind(played, "diversity/", f"/{ENTROPY}")),
        reward=_rewards(played),
        zero_std=_end(played, "zero_std"),
        curves=_curves(played),
    )


def _suite(arm: Mapping[int, SuiteMarks], baseline: Mapping[int, SuiteMarks], shared: tuple[str, ...]) -> SuiteFigures:
    asked = next(iter(arm.values())).items
    comparable = set(shared) <= set(asked)
    items = shared if comparable else asked
    marks = {seed: one.only(items) for seed, one in arm.items()}
    others = {seed: one.only(items) for seed, one in baseline.items()} if comparable else {}
    return SuiteFigures(
        num_items=len(items),
        num_left_out=len(asked) - len(items),
        before=accuracy([one.first for one in marks.values()]),
        after=accuracy([one.last for one in marks.values()]),
        rise=bootstrap_mean([one.changes for one in marks.values()]),
        difference=_difference(marks, others),
        by_seed={seed: (fmean(one.first), fmean(one.last)) for seed, one in marks.items()},
    )


def _difference(arm: Mapping[int, SuiteMarks], baseline: Mapping[int, SuiteMarks]) -> Estimate | None:
    """Paired by item and by seed: over the seeds that both have; None without one."""
    pairs = [(one, baseline[seed]) for seed, one in arm.items() if seed in baseline]
    if not pairs:
        return None
    return bootstrap_mean([[mine - theirs for mine, theirs in zip(one.last, other.last, strict=True)] for one, other in pairs])


def _by_kind(played: History, prefix: str, suffix: str = "") -> dict[str, str]:
    """Kind to scalar, for the scalars `prefix + kind + suffix`."""
    middles = {name.removeprefix(prefix).removesuffix(suffix): name for name in played.names(prefix) if name.endswith(suffix)}
    return {kind: name for kind, name in middles.items() if "/" not in kind}


def _end(played: History, name: str) -> float | None:
    """Mean over the last tenth of the steps that have the scalar; at least one step."""
    values = [point.value for point in played.series(name)]
    return fmean(values[-max(1, round(END_SHARE * len(values))) :]) if values else None


def _at_end(played: History, names: Mapping[str, str]) -> dict[str, float]:
    return {kind: value for kind, name in names.items() if (value := _end(played, name)) is not None}


def _rewards(played: History) -> dict[str, float]:
    series = {kind: played.series(name) for kind, name in _by_kind(played, "reward/", "/propose").items()}
    return {kind: fmean(point.value for point in points) for kind, points in series.items() if points}


def _growth(history: History, has_proposer: bool) -> dict[str, float]:
    """Empty where nothing proposes and nothing grew: a fixed data set is no buffer that failed to grow."""
    sizes = {kind: size for kind, size in history.buffers().items() if size["seed"]}
    grew = has_proposer or any(size["final"] > size["seed"] for size in sizes.values())
    return {kind: size["final"] / size["seed"] for kind, size in sizes.items()} if grew else {}


def _curves(played: History) -> dict[str, Curve]:
    """The scalars that are drawn, against the tokens generated so far."""
    tokens = {point.global_step: point.value for point in played.series("tokens/total")}
    drawn = [name for name in played.names("eval/") if name.endswith("/accuracy")]
    for prefix, suffix in DRAWN:
        drawn += _by_kind(played, prefix, suffix).values()
    return {
        name: tuple((tokens[point.global_step], point.value) for point in points if point.global_step in tokens)
        for name in [*drawn, *played.names("zero_std")]
        if (points := played.series(name))
    }
