"""The mixed family: arithmetic, counting and comparison, in the three kinds.

    deduction   Count 3 in 3 1 3 5 =                  → 2
    abduction   Find: Largest of ? ? = 12             → 12, 7             (any operands in bounds that give 12)
    induction   Pattern: (3,1,3)→2, (2,3,7)→1, …      → count(3, a, b, c) (must hold on the hidden pairs)

Owns the two sorts over lists, and how the three are mixed. Arithmetic, and all that is the same for lists (rows of operands,
answers of numbers), is the arithmetic family's, which this one holds.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from tasks.arithmetic.expression import VARIABLES, format_operands
from tasks.arithmetic.family import ArithmeticFamily
from tasks.arithmetic.heldout import HeldOut
from tasks.arithmetic.rows import read_rows
from tasks.mixed.generate import random_list_draft, random_sort
from tasks.mixed.options import MixedOptions
from tasks.mixed.programs import Phrase, Sort, list_program, parse_call, phrase, read_phrase, sort_of
from tasks.mixed.suites import heldout_suites, mixed_datasets
from tasks.mixed.wording import instruction
from tasks.options import read_options
from tasks.records import HELDOUT, Draft, Kind, Malformed, Proposal, Role, Task

MAX_TRIES = 1000
_VERB = {Kind.DEDUCTION: "calculate", Kind.ABDUCTION: "find"}
_LIST_WORDS = ("Count", "Largest", "Smallest", "count", "max", "min")


class MixedFamily:
    """See the head of this module; options are `MixedOptions`."""

    name = "mixed"
    executor = "mixed"
    alphabet = ArithmeticFamily.alphabet + "L"
    words = (*ArithmeticFamily.words, *_LIST_WORDS, *(f" {word}" for word in _LIST_WORDS), " in", " of")

    def __init__(self, **options: object) -> None:
        self.options = read_options(MixedOptions, options)
        self._arithmetic = ArithmeticFamily(**(asdict(self.options.arithmetic) | {"instructions": False}))
        suites = self._arithmetic.heldout()
        self._suites = heldout_suites(self.options, suites)
        self._heldout = HeldOut({**suites, **self._suites})

    def propose_prompt(self, kind: Kind, references: Sequence[Task], program: str) -> str:
        words = instruction(Role.PROPOSE, kind, self.options)
        if kind is Kind.INDUCTION:
            return words + self._arithmetic.propose_prompt(kind, references, program)
        return f"{words}Propose {_VERB[kind]}: {'; '.join(map(self.reference_proposal, references))}\n"

    def solve_prompt(self, task: Task) -> str:
        return instruction(Role.SOLVE, task.kind, self.options) + self._question(task)

    def _question(self, task: Task) -> str:
        if task.kind is Kind.INDUCTION or sort_of(task.program) is Sort.ARITHMETIC:
            return self._arithmetic.solve_prompt(task)
        first = task.pairs[0]
        items = first.input.split(", ")
        if task.kind is Kind.DEDUCTION:
            return f"{phrase(task.program, items)} = "
        return f"Find: {phrase(task.program, ['?'] * len(items))} = {first.output}\n"

    def parse_proposal(self, proposal: Proposal) -> Draft | Malformed:
        draft = self._read(proposal)
        return Malformed(HELDOUT, well_formed=True) if isinstance(draft, Draft) and draft in self._heldout else draft

    def _read(self, proposal: Proposal) -> Draft | Malformed:
        if proposal.kind is not Kind.INDUCTION:
            read = read_phrase(proposal.text)
            return self._arithmetic.parse_proposal(proposal) if read is None else self._list_draft(proposal.kind, read)
        call = parse_call(proposal.program)
        if call is None:
            return self._arithmetic.parse_proposal(proposal)
        inputs = read_rows(proposal.text, len(call.variables), self._arithmetic.options)
        return inputs if isinstance(inputs, Malformed) else Draft(kind=proposal.kind, program=proposal.program, inputs=inputs)

    def _list_draft(self, kind: Kind, read: Phrase) -> Draft | Malformed:
        if not 2 <= len(read.numbers) <= self.options.max_items:
            return Malformed("num_items", well_formed=True)
        low = self.options.abduction_min if kind is Kind.ABDUCTION else 0
        target = () if read.target is None else (read.target,)
        if not all(low <= number <= self.options.max_operand for number in (*target, *read.numbers)):
            return Malformed("operand_range", well_formed=True)
        program = list_program(read.function, read.target, len(read.numbers))
        return Draft(kind=kind, program=program, inputs=(format_operands(list(read.numbers)),))

    def parse_answer(self, task: Task, text: str) -> str | Malformed:
        call = parse_call(text) if task.kind is Kind.INDUCTION else None
        if call is None:
            return self._arithmetic.parse_answer(task, text)
        arity = task.pairs[0].input.count(",") + 1
        return call.text if call.variables <= set(VARIABLES[:arity]) else Malformed("unknown_variable", well_formed=True)

    def reference_answer(self, task: Task) -> str:
        return self._arithmetic.reference_answer(task)

    def reference_proposal(self, task: Task) -> str:
        if task.kind is Kind.INDUCTION or sort_of(task.program) is Sort.ARITHMETIC:
            return self._arithmetic.reference_proposal(task)
        return phrase(task.program, task.pairs[0].input.split(", "))

    def public_form(self, question: str) -> str | None:
        """Reads what the arithmetic family reads."""
        return self._arithmetic.public_form(question)

    def num_shown(self, draft: Draft) -> int:
        return self._arithmetic.num_shown(draft)

    def difficulty(self, draft: Draft) -> float:
        """As in the arithmetic family; a list program counts as one operator."""
        return self._arithmetic.difficulty(draft) + (sort_of(draft.program) is not Sort.ARITHMETIC)

    def features(self, draft: Draft) -> Mapping[str, str]:
        """`sort` alone, so that accuracies break down by it."""
        return {"sort": sort_of(draft.program)}

    def traits(self, draft: Draft) -> Mapping[str, str]:
        """For diversity: `sort`, and `rule`, which is the operators, or the function with its number of items."""
        sort = sort_of(draft.program)
        if sort is Sort.ARITHMETIC:
            return {"sort": sort, "rule": self._arithmetic.features(draft)["operators"]}
        num_items = draft.inputs[0].count(",") + 1
        return {"sort": sort, "rule": f"{draft.program.partition('(')[0]}_{num_items}"}

    def zero(self, kind: Kind) -> Draft:
        return self._arithmetic.zero(kind)

    def generate(self, kind: Kind, rng: random.Random) -> Draft:
        for _ in range(MAX_TRIES):
            sort = random_sort(self.options, rng)
            if sort is Sort.ARITHMETIC:
                return self._arithmetic.generate(kind, rng)
            draft = random_list_draft(kind, sort, self.options, rng)
            if draft not in self._heldout:
                return draft
        raise ValueError(f"the bounds of the generator leave no {kind} task that is not held out; widen them")

    def is_heldout(self, draft: Draft) -> bool:
        """Whether it is refused as a proposal, for what it is or for what it gives away."""
        return draft in self._heldout

    def likeness(self, draft: Draft) -> str:
        """As in the arithmetic family; the items of a list come in any order."""
        if sort_of(draft.program) is Sort.ARITHMETIC:
            return self._arithmetic.likeness(draft)
        return phrase(draft.program, sorted(draft.inputs[0].split(", ")))

    def heldout(self) -> Mapping[str, Sequence[Draft]]:
        return self._suites

    def datasets(self) -> Mapping[str, Sequence[Draft]]:
        return mixed_datasets(self._heldout)
