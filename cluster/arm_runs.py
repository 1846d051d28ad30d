"""The runs of an experiment: for every arm and seed the configuration, its directory, and the model that it starts from.

Invariant: all of them are loaded and checked together, before anything starts; what is wrong is one line that names the arm.
Arms of one family start from one warm-started model: an arm that plays only some of the base's kinds would by itself get a
model that was warmed up for these alone, and takes the base's instead. Starts nothing and writes nothing.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cluster.experiment import Changes, Experiment
from cluster.run_directory import differing_keys, run_path
from configs.errors import ConfigError, UserError
from configs.loader import SHIPPED, find_config, load_config
from configs.schema import RunConfig
from configs.schema_keys import is_section, known_keys
from configs.validation import one_line
from selfplay.evaluate import train_drafts
from selfplay.schedule import is_over
from selfplay.warm_start import model_path, uses_stand_in
from tasks.family import Family, load_family
from telemetry.status import read_status

ENDLESS = 1_000_000  # steps; the tokens end a run


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A warm-started model: `azr warm-start BASE OVERRIDES` puts it at `path`."""

    path: str
    base: str
    overrides: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRun:
    """One run; `azr train BASE OVERRIDES` is its command. `start`: None for a model that exists already."""

    arm: str
    base: str
    overrides: tuple[str, ...]
    config: RunConfig
    start: Start | None

    @property
    def name(self) -> str:
        return self.config.run.name

    @property
    def path(self) -> Path:
        return run_path(self.config)

    @property
    def model(self) -> str:
        """What it starts from; equal for two runs exactly when they start alike."""
        return self.start.path if self.start else self.config.model.name_or_path

    @property
    def done(self) -> bool:
        """Whether it has ended by itself, with all its tokens or steps."""
        try:
            status = read_status(self.path)
        except (OSError, ValueError) as error:
            raise UserError(f"{self.path / 'status.json'} is damaged ({error}); delete it and try again") from error
        return bool(status and status.status == "finished" and is_over(self.config.run, status.step, int(status.tokens)))


def plan_runs(file: Path, experiment: Experiment, folder: Path, seeds: Sequence[int]) -> list[ArmRun]:
    """Every arm at every seed, seed by seed, in directories of `folder`. ConfigError naming the arm that cannot be."""
    base = base_of(file, experiment)
    kinds = load_config(base).family.kinds
    runs = []
    for seed in seeds:
        for arm, changes in experiment.arms.items():
            with _named(file, arm):
                given = {"run.steps": ENDLESS, **experiment.overrides, **changes}
                given |= {"run.token_budget": experiment.token_budget, "seed": seed}
                given |= {"run.root": str(folder), "run.name": f"{arm}-s{seed}"}
                runs.append(_run(arm, base, as_overrides(given), kinds))
    for run in runs[: len(experiment.arms)]:
        with _named(file, run.arm):
            _check(run.config, experiment.suite if run.arm == experiment.baseline else "")
    return runs


def refuse_other_settings(run: ArmRun) -> None:
    """ConfigError naming the keys by which an existing run directory differs from what the experiment now says."""
    if not (run.path / "config.yaml").exists():
        return
    with _named(run.path, "its config.yaml"):
        before = load_config(run.path / "config.yaml")
    if differing := differing_keys(before, run.config):
        more = f" (and {len(differing) - 1} more)" if len(differing) > 1 else ""
        raise ConfigError(
            f"arm {run.arm}: {run.path} holds a run with other settings: {differing[0]}{more}; delete it, or put the setting "
            "back, or give the experiment another name"
        )


def base_of(file: Path, experiment: Experiment) -> str:
    """The bare name of a shipped configuration, else an absolute path."""
    beside = file.parent / experiment.base
    if beside.is_file():
        return str(beside.absolute())
    with _named(file, "base"):
        found = find_config(experiment.base)
    return found.stem if found.parent == SHIPPED else str(found.absolute())


def as_overrides(changes: Changes) -> tuple[str, ...]:
    """As `azr train` takes them. ConfigError for a value that would replace a whole section, or is no plain YAML."""
    for key, value in changes.items():
        field = known_keys().get(key)
        if field is not None and is_section(field) and isinstance(value, Mapping):
            inner = next(iter(value), "…")
            raise ConfigError(f"{key} must be written key by key, as {key}.{inner}, so that its other keys stay as they are")
    try:
        return tuple(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in changes.items())
    except TypeError as error:
        raise ConfigError(f"values must be numbers, texts, lists or mappings ({error}); quote it") from None


def _run(arm: str, base: str, overrides: tuple[str, ...], kinds: Sequence[str]) -> ArmRun:
    config = load_config(base, overrides)
    if not uses_stand_in(config):
        return ArmRun(arm=arm, base=base, overrides=overrides, config=config, start=None)
    start = Start(path=model_path(config, _family(config)), base=base, overrides=overrides)
    if set(config.family.kinds) < set(kinds):
        widened = (*overrides, *as_overrides({"family.kinds": list(kinds)}))
        shared = load_config(base, widened)
        start = Start(path=model_path(shared, _family(shared)), base=base, overrides=widened)
        overrides = (*overrides, *as_overrides({"model.name_or_path": start.path}))
        config = load_config(base, overrides)
    return ArmRun(arm=arm, base=base, overrides=overrides, config=config, start=start)


def _check(config: RunConfig, suite: str) -> None:
    """What a run itself would find only after its warm start. `suite`: one that it must be able to measure; or none."""
    family, kinds = _family(config), config.family.kinds
    if config.dataset:
        sets = family.datasets()
        if config.dataset not in sets:
            raise ConfigError(f"dataset must be one of {', '.join(sets) or 'none'}, got {config.dataset}")
        if absent := [kind for kind in kinds if all(draft.kind != kind for draft in sets[config.dataset])]:
            raise ConfigError(f"family.kinds must be kinds of data set {config.dataset}, which has no {absent[0]}")
    train_drafts(config, family)
    if suite and suite not in config.evaluation.data:
        measured = [name for name, drafts in family.heldout().items() if any(draft.kind in kinds for draft in drafts)]
        if suite not in measured:
            raise ConfigError(f"suite must be one that the baseline measures ({', '.join(measured)}), got {suite}")


def _family(config: RunConfig) -> Family:
    return _load_family(config.family.name, json.dumps(config.family.options))


@lru_cache
def _load_family(name: str, options: str) -> Family:
    return load_family(name, json.loads(options))


@contextmanager
def _named(file: Path, arm: str) -> Iterator[None]:
    """Puts the file and the arm before what is wrong."""
    try:
        yield
    except ConfigError as failure:
        raise ConfigError(one_line(f"{file}, {arm}: {failure}")) from None
