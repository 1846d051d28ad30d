"""What a task family is, and how one is found by name.

A family is text in and text out: it renders prompts, reads proposals and answers, and knows its bounds and its held-out
problems. It never computes an answer: that is the verifier's, through the executor that the family names. Families are
plain classes; others ship theirs from another package through the entry-point group `absolute_zero_ray.families`.
"""

import difflib
import random
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Protocol, cast

from configs.errors import ConfigError
from tasks.records import Draft, Kind, Malformed, Proposal, Task

GROUP = "absolute_zero_ray.families"


class Family(Protocol):
    name: str
    executor: str  # who computes ground truth, by its name in the entry-point group of executors
    alphabet: str  # every character of its prompts and answers: the stand-in's tokenizer is made from it,
    words: tuple[str, ...]  # with these as tokens of their own

    def propose_prompt(self, kind: Kind, references: Sequence[Task], program: str) -> str:
        """Asks for a new task of this kind that differs from the references; `program`: the one to find inputs for."""

    def solve_prompt(self, task: Task) -> str:
        """The public form of the task: shows what is not hidden."""

    def parse_proposal(self, proposal: Proposal) -> Draft | Malformed:
        """The normalised draft, in bounds and not held out; or why not."""

    def parse_answer(self, task: Task, text: str) -> str | Malformed:
        """Deduction: an output. Abduction: an input. Induction: a program. In the executor's own notation."""

    def reference_answer(self, task: Task) -> str:
        """One right completion, for warm start and display."""

    def reference_proposal(self, task: Task) -> str:
        """The completion with which a proposer would have proposed this task; for warm start."""

    def public_form(self, question: str) -> str | None:
        """The solver's prompt for a question from elsewhere that this family can read; None where it cannot."""

    def num_shown(self, draft: Draft) -> int:
        """How many of its pairs the solver sees."""

    def difficulty(self, draft: Draft) -> float:
        """A number that grows with the size of the task; for telemetry and curricula."""

    def features(self, draft: Draft) -> Mapping[str, str]:
        """Named traits of the draft (for arithmetic: its operators), for break-downs and diversity."""

    def zero(self, kind: Kind) -> Draft:
        """The one triplet that the buffer of this kind starts from."""

    def generate(self, kind: Kind, rng: random.Random) -> Draft:
        """A random draft within bounds and not held out: seeding fallback, warm start, control arms."""

    def heldout(self) -> Mapping[str, Sequence[Draft]]:
        """Evaluation suites by name; fixed for all runs, whatever their seed."""

    def datasets(self) -> Mapping[str, Sequence[Draft]]:
        """Training sets by name, for training on fixed data: distinct, not held out, the same whatever a run's seed."""


def load_family(name: str, options: Mapping[str, object]) -> Family:
    """The family of that name, with its options. Raises ConfigError for an unknown name or option."""
    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        near = difflib.get_close_matches(name, found, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(found))}"
        raise ConfigError(f"family.name must be an installed family, got {name}; {hint}")
    make = found[name].load()
    try:
        return cast(Family, make(**options))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"family.options of {name}: {error}") from error
