"""The arithmetic family: the three kinds in their public forms, over integer expressions.

    deduction   Calculate: 12 * 7 =              → 84
    abduction   Find: ? * ? = 84                 → 12, 7      (any operands in bounds that give 84)
    induction   Pattern: (2,3)→5, (4,1)→5, …     → a + b      (must hold on the hidden pairs)

The proposer writes an expression (deduction, abduction), or inputs for a program drawn from the buffers (induction).
"""

import random
import re
from collections.abc import Mapping, Sequence
from itertools import islice

from tasks.arithmetic.datasets import arithmetic_datasets
from tasks.arithmetic.expression import (
    Expression,
    Leaf,
    fill,
    format_operands,
    leaves,
    parse,
    render,
    split,
    symbols,
    unordered,
)
from tasks.arithmetic.generate import heldout_suites, random_draft
from tasks.arithmetic.heldout import HeldOut
from tasks.arithmetic.options import ArithmeticOptions
from tasks.arithmetic.rows import read_rows, show_row
from tasks.options import read_options
from tasks.records import HELDOUT, Draft, Kind, Malformed, Proposal, Task

_NUMBER = re.compile(r"-?\d{1,40}(?!\d)")
_NUMBERS = re.compile(r"-?\d{1,40}(?:\s*,\s*-?\d{1,40})*(?!\d)")
_QUESTION = re.compile(r"What is ([0-9+\-*() ]+(?:(?:plus|minus|times)[0-9+\-*() ]+)*)\?")
_WORDS = {"plus": "+", "minus": "-", "times": "*"}
_VERB = {Kind.DEDUCTION: "calculate", Kind.ABDUCTION: "find", Kind.INDUCTION: "pattern"}


class ArithmeticFamily:
    """See the head of this module; options are `ArithmeticOptions`."""

    name = "arithmetic"
    executor = "arithmetic"
    alphabet = "0123456789+-*(),.:;=?→… \nabcdefghijklmnopqrstuvwxyzCFPRS"
    words = (
        "Calculate",
        "Find",
        "Pattern",
        "Propose",
        " calculate",
        " find",
        " pattern",
        " +",
        " -",
        " *",
        " =",
        " ?",
        " (",
        ")→",
    )

    def __init__(self, **options: object) -> None:
        self.options = read_options(ArithmeticOptions, options)
        self._heldout = HeldOut(heldout_suites(self.options))

    def propose_prompt(self, kind: Kind, references: Sequence[Task], program: str) -> str:
        words = _PROPOSE_WORDS[kind].format(o=self.options) + "\n" if self.options.instructions else ""
        if kind is Kind.INDUCTION:
            return f"{words}Propose pattern: {program}\n"
        examples = "; ".join(fill(task.program, task.pairs[0].input.split(", ")) for task in references)
        return f"{words}Propose {_VERB[kind]}: {examples}\n"

    def solve_prompt(self, task: Task) -> str:
        words = _SOLVE_WORDS[task.kind].format(o=self.options) + "\n" if self.options.instructions else ""
        first = task.pairs[0]
        if task.kind is Kind.DEDUCTION:
            return f"{words}Calculate: {fill(task.program, first.input.split(', '))} = "
        if task.kind is Kind.ABDUCTION:
            return f"{words}Find: {_question(task.program)} = {first.output}\n"
        shown = ", ".join(f"{show_row(pair.input)}→{pair.output}" for pair in task.pairs[: task.num_shown])
        return f"{words}Pattern: {shown}\n"

    def parse_proposal(self, proposal: Proposal) -> Draft | Malformed:
        draft = self._inputs_draft(proposal) if proposal.kind is Kind.INDUCTION else self._expression_draft(proposal)
        return Malformed(HELDOUT, well_formed=True) if isinstance(draft, Draft) and draft in self._heldout else draft

    def _expression_draft(self, proposal: Proposal) -> Draft | Malformed:
        tree = parse(proposal.text)
        if tree is None or not all(leaf.is_number for leaf in leaves(tree)):
            return Malformed("syntax")
        if not 1 <= len(symbols(tree)) <= self.options.max_operators:
            return Malformed("num_operators", well_formed=True)
        program, operands = split(tree)
        low = self.options.abduction_min if proposal.kind is Kind.ABDUCTION else 0
        if not all(low <= operand <= self.options.max_operand for operand in operands):
            return Malformed("operand_range", well_formed=True)
        return Draft(kind=proposal.kind, program=program, inputs=(format_operands(operands),))

    def _inputs_draft(self, proposal: Proposal) -> Draft | Malformed:
        tree = parse(proposal.program)
        assert tree is not None, f"a program in the buffers must parse: {proposal.program}"
        inputs = read_rows(proposal.text, len(leaves(tree)), self.options)
        if isinstance(inputs, Malformed):
            return inputs
        return Draft(kind=Kind.INDUCTION, program=proposal.program, inputs=inputs)

    def parse_answer(self, task: Task, text: str) -> str | Malformed:
        if task.kind is Kind.DEDUCTION:
            found = _NUMBER.match(text.strip())
            return str(int(found.group())) if found else Malformed("no_number")
        if task.kind is Kind.ABDUCTION:
            return self._parse_operands(task, text)
        tree = parse(text)
        arity = task.pairs[0].input.count(",") + 1
        if tree is None:
            return Malformed("syntax")
        if any(not leaf.is_number and ord(leaf.text) - ord("a") >= arity for leaf in leaves(tree)):
            return Malformed("unknown_variable", well_formed=True)
        return render(tree)

    def _parse_operands(self, task: Task, text: str) -> str | Malformed:
        found = _NUMBERS.match(text.strip())
        if not found:
            return Malformed("no_number")
        operands = [int(part) for part in found.group().split(",")]
        if len(operands) != task.pairs[0].input.count(",") + 1:
            return Malformed("arity", well_formed=True)
        if not all(self.options.abduction_min <= operand <= self.options.max_operand for operand in operands):
            return Malformed("operand_range", well_formed=True)
        return format_operands(operands)

    def reference_answer(self, task: Task) -> str:
        if task.kind is Kind.DEDUCTION:
            return task.pairs[0].output
        return task.pairs[0].input if task.kind is Kind.ABDUCTION else task.program

    def reference_proposal(self, task: Task) -> str:
        if task.kind is Kind.INDUCTION:
            return " ".join(show_row(pair.input) for pair in task.pairs)
        return fill(task.program, task.pairs[0].input.split(", "))

    def public_form(self, question: str) -> str | None:
        """Reads `Q: What is 98 plus 45?` and `What is (9 + 8) * 2?`; whatever the bounds, these are not proposals."""
        found = _QUESTION.search(question)
        text = re.sub("plus|minus|times", lambda word: _WORDS[word.group()], found.group(1)) if found else ""
        tree = parse(text)
        return f"Calculate: {render(tree)} = " if tree is not None and symbols(tree) else None

    def num_shown(self, draft: Draft) -> int:
        return len(draft.inputs) // 2 if draft.kind is Kind.INDUCTION else 1

    def difficulty(self, draft: Draft) -> float:
        """Operand digits plus one per operator plus one more per multiplication, averaged over the inputs."""
        digits = sum(sum(char.isdigit() for char in text) for text in draft.inputs) / len(draft.inputs)
        operators = re.findall(r"[+\-*]", draft.program)
        return digits + len(operators) + operators.count("*")

    def features(self, draft: Draft) -> Mapping[str, str]:
        names = {"+": "plus", "-": "minus", "*": "times"}
        return {"operators": "_".join(names[symbol] for symbol in re.findall(r"[+\-*]", draft.program))}

    def traits(self, draft: Draft) -> Mapping[str, str]:
        """`features`, the most `digits` that each operand has, and the `shape` of the tree, whatever its operators."""
        operands = zip(*(text.split(", ") for text in draft.inputs), strict=True)
        digits = "_".join(str(max(map(len, column))) for column in operands)
        tree = parse(draft.program)
        return {**self.features(draft), "digits": digits, "shape": _shape(tree) if tree else ""}

    def zero(self, kind: Kind) -> Draft:
        """The smallest sums that are not held out."""
        count = self.options.num_pairs if kind is Kind.INDUCTION else 1
        rows = (format_operands([left, right]) for left in range(2, 100) for right in range(left, 100))
        sums = (Draft(kind=Kind.DEDUCTION, program="a + b", inputs=(text,)) for text in rows)
        free = (draft.inputs[0] for draft in sums if draft not in self._heldout)
        return Draft(kind=kind, program="a + b", inputs=tuple(islice(free, count)))

    def generate(self, kind: Kind, rng: random.Random) -> Draft:
        while True:
            draft = random_draft(kind, self.options, rng)
            if draft not in self._heldout:
                return draft

    def is_heldout(self, draft: Draft) -> bool:
        """Whether it is refused as a proposal, for what it is or for what it gives away."""
        return draft in self._heldout

    def likeness(self, draft: Draft) -> str:
        """The problem, whatever the order of the operands of + and *. Deduction and abduction only."""
        tree = parse(fill(draft.program, draft.inputs[0].split(", ")))
        assert tree is not None, f"a filled program must parse: {draft.program}"
        return unordered(tree)

    def heldout(self) -> Mapping[str, Sequence[Draft]]:
        return self._heldout.suites

    def datasets(self) -> Mapping[str, Sequence[Draft]]:
        return arithmetic_datasets(self._heldout)


def _shape(tree: Expression) -> str:
    return "x" if isinstance(tree, Leaf) else f"({_shape(tree.left)}{_shape(tree.right)})"


def _question(program: str) -> str:
    return re.sub(r"[a-h]", "?", program)


_PROPOSE_WORDS = {
    Kind.DEDUCTION: "Write one new arithmetic expression, different from those listed: integers from 0 to {o.max_operand}, "
    "+ - * and parentheses, at most {o.max_operators} operators. Make it challenging. Reply with the expression only.",
    Kind.ABDUCTION: "Write one new arithmetic expression, different from those listed: integers from {o.abduction_min} to "
    "{o.max_operand}, + - * and parentheses, at most {o.max_operators} operators. Its integers will be hidden, its result "
    "shown. Reply with the expression only.",
    Kind.INDUCTION: "For the rule below, write {o.num_pairs} different inputs as tuples such as (2,3), separated by spaces, "
    "integers from 0 to {o.max_operand}; someone will have to guess the rule from them. Reply with the tuples only.",
}
_SOLVE_WORDS = {
    Kind.DEDUCTION: "Reply with the result only, an integer.",
    Kind.ABDUCTION: "Replace each ? by an integer from {o.abduction_min} to {o.max_operand} so that the equation holds. Reply "
    "with the integers only, separated by commas.",
    Kind.INDUCTION: "Find the rule over a, b, c… (in the order of each tuple) with + - * that gives every result. Reply with "
    "the rule only.",
}
