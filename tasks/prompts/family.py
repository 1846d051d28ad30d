"""The prompts family: any data of prompt and answer as deduction tasks, for training on fixed data and for evaluation.

    deduction   the prompt, as it is written in the data   → its answer

It has no proposer and no other kind. As a task its program is the prompt and its input the recorded answer, which the
executor `recorded` returns: nothing computes the answer, and only the program is shown.
"""

import random
import re
from collections.abc import Mapping, Sequence
from typing import NoReturn

from configs.errors import ConfigError
from tasks.options import read_options
from tasks.prompts.options import PromptsOptions
from tasks.prompts.rows import Row, is_heldout, read_pairs
from tasks.records import Draft, Kind, Malformed, Proposal, Task

TRAIN = "train"  # the name of its one training set
_INTEGER = re.compile(r"-?[0-9]+")


class PromptsFamily:
    """See the head of this module; options are `PromptsOptions`.

    What asks for a proposer, or for another kind than deduction, raises ConfigError.
    """

    name = "prompts"
    executor = "recorded"
    words = ()

    def __init__(self, **options: object) -> None:
        self.options = read_options(PromptsOptions, options)
        rows = read_pairs(self.options.path)
        held = [is_heldout(row.prompt, self.options.heldout_share) for row in rows]
        self._heldout = tuple(_draft(row) for row, out in zip(rows, held, strict=True) if out)
        self._train = tuple(_draft(row) for row, out in zip(rows, held, strict=True) if not out)
        if not self._train:
            raise ValueError(
                f"heldout_share must leave a row of {self.options.path} to train on, got {self.options.heldout_share}; lower it"
            )
        self.alphabet = "".join(sorted({char for row in rows for char in row.prompt + row.answer}))

    def propose_prompt(self, kind: Kind, references: Sequence[Task], program: str) -> str:
        _refuse_proposer()

    def solve_prompt(self, task: Task) -> str:
        return task.program

    def parse_proposal(self, proposal: Proposal) -> Draft | Malformed:
        return Malformed("no_proposer")

    def parse_answer(self, task: Task, text: str) -> str | Malformed:
        """The integer at the start, where the recorded answer is one (the journals' rule); else the whole text."""
        text = text.strip()
        if not _INTEGER.fullmatch(task.pairs[0].output):
            return text or Malformed("no_answer")
        found = _INTEGER.match(text)
        return found.group() if found else Malformed("no_number")

    def reference_answer(self, task: Task) -> str:
        return task.pairs[0].output

    def reference_proposal(self, task: Task) -> str:
        _refuse_proposer()

    def public_form(self, question: str) -> str | None:
        """Questions from elsewhere are asked as they are."""
        return None

    def num_shown(self, draft: Draft) -> int:
        return 1

    def difficulty(self, draft: Draft) -> float:
        """Characters of the prompt and of the answer."""
        return len(draft.program) + len(draft.inputs[0])

    def features(self, draft: Draft) -> Mapping[str, str]:
        return {"answer": "integer" if _INTEGER.fullmatch(draft.inputs[0]) else "text"}

    def zero(self, kind: Kind) -> Draft:
        _refuse_proposer()

    def generate(self, kind: Kind, rng: random.Random) -> Draft:
        """A row to train on."""
        if kind is not Kind.DEDUCTION:
            raise ConfigError(f"family prompts has no {kind}; set family.kinds=[deduction]")
        return rng.choice(self._train)

    def is_heldout(self, draft: Draft) -> bool:
        """By its prompt, whatever the answer."""
        return is_heldout(draft.program, self.options.heldout_share)

    def heldout(self) -> Mapping[str, Sequence[Draft]]:
        return {Kind.DEDUCTION.value: self._heldout} if self._heldout else {}

    def datasets(self) -> Mapping[str, Sequence[Draft]]:
        return {TRAIN: self._train}


def _draft(row: Row) -> Draft:
    return Draft(kind=Kind.DEDUCTION, program=row.prompt, inputs=(row.answer,))


def _refuse_proposer() -> NoReturn:
    raise ConfigError(
        "family prompts has no proposer; set mode=grpo, and a model.name_or_path other than stand-in, whose warm start proposes"
    )
