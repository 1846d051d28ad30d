"""The file of an experiment: a base configuration, and arms that each change some of its keys.

Owns the form of the file. Whatever is wrong with it is one line that names the key. What the arms mean for runs belongs to
`cluster.arm_runs`.
"""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from configs.errors import ConfigError
from configs.loader import SHIPPED, read_tree
from configs.section import Section
from configs.validation import describe_failure, one_line, refuse_truth_for_number

SHIPPED_EXPERIMENTS = SHIPPED / "experiments"
RESERVED = ("seed", "run.root", "run.name", "run.token_budget")  # set for every run by the sweep
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Changes = dict[str, Any]  # dotted key of a run's configuration to value


class Experiment(Section):
    """Frozen; an unknown key is an error."""

    base: str = Field(min_length=1, description="A run's configuration by name or path, from here or from beside the file.")
    question: str = Field(min_length=1, description="What the experiment is to answer, in one line.")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field((0, 1, 2), min_length=1, description="Each arm runs once for each.")
    token_budget: int = Field(ge=1, description="Tokens generated in self-play, the same for every run.")
    baseline: str = Field(description="The arm that the others are compared with.")
    suite: str = Field("deduction", description="The held-out suite that ranks the arms.")
    overrides: Changes = Field({}, description="Changes of the base for all arms.")
    arms: dict[Name, Changes] = Field(min_length=1, description="By name, the changes that make the arm; {} for none.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.baseline not in self.arms:
            raise ValueError(f"baseline must be one of the arms ({', '.join(self.arms)}), got {self.baseline}")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds must be distinct, got {list(self.seeds)}")
        for where, changes in {"overrides": self.overrides, **{f"arms.{arm}": its for arm, its in self.arms.items()}}.items():
            if taken := [key for key in RESERVED if key in changes]:
                raise ValueError(f"{where} must not set {taken[0]}, which every run gets from the experiment; remove it")
        return self


def find_experiment(name: str) -> Path:
    """A file, or a shipped experiment by its bare name."""
    file = Path(name).expanduser()
    if file.is_file():
        return file
    shipped = SHIPPED_EXPERIMENTS / f"{file.name.removesuffix('.yaml')}.yaml"
    if len(file.parts) == 1 and shipped.is_file():
        return shipped
    known = ", ".join(shipped_experiments())
    raise ConfigError(one_line(f"EXPERIMENT must be an existing YAML file or one of {known}, got {name!r}"))


def shipped_experiments() -> list[str]:
    return sorted(path.stem for path in SHIPPED_EXPERIMENTS.glob("*.yaml"))


def load_experiment(file: Path) -> Experiment:
    """ConfigError of one line for whatever is wrong with the file; the arms' own keys are not looked at here."""
    tree = read_tree(file)
    keys = Experiment.model_fields
    for key in tree:
        if key not in keys:
            raise ConfigError(one_line(f"{file}: unknown key {key}; {nearest(str(key), keys)}"))
    if missing := [key for key, field in keys.items() if field.is_required() and key not in tree]:
        raise ConfigError(f"{file}: {missing[0]} must be given; docs/experiments.md describes the file")
    try:
        experiment = Experiment.model_validate(tree)
        refuse_truth_for_number(experiment, tree)
    except ValidationError as failure:
        raise ConfigError(describe_failure(failure, tree, str(file), {})) from None
    except ConfigError as failure:
        raise ConfigError(f"{file}: {failure}") from None
    return experiment


def nearest(word: str, known: Iterable[str]) -> str:
    """`did you mean …?`, or all that is known."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(names)}"
