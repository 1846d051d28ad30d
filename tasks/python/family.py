"""The Python family: functions `f` and calls of them, as in the paper (arXiv 2505.03335), in our own words.

    deduction   program, input            → output
    abduction   program, output           → an input that gives it
    induction   inputs, outputs, message  → a program (must hold on the hidden half of the inputs)

The proposer writes a program with an input (deduction, abduction), or inputs and a message for a program drawn from the
buffers (induction). Nothing is compiled or run here: that is the executor's. Composite programs, which the paper tried
and dropped for want of a benefit (its appendix D.2), are left out.
"""

import ast
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from statistics import fmean

from tasks.options import read_options
from tasks.python.generate import random_draft
from tasks.python.heldout import HeldOut
from tasks.python.literals import LiteralError, parse_arguments
from tasks.python.options import PythonOptions
from tasks.python.parsing import read_answer, read_inputs, read_task
from tasks.python.prompts import block, completion, propose_prompt, shown_value, solve_prompt
from tasks.python.reading import parse_tree
from tasks.python.source import Program, read_program
from tasks.python.vocabulary import ALPHABET, WORDS
from tasks.records import HELDOUT, Draft, Kind, Malformed, Proposal, Task

IDENTITY = "def f(a):\n    return a"
ZERO_INPUTS = ("'Hello world'", "1", "[2, 3]", "{'a': 4}", "(5, 'six')", "7.5", "None", "True", "''", "[[8], []]")
ZERO_MESSAGE = "It returns whatever it is given."
_LOOPS = (ast.For, ast.While, ast.comprehension)
_BRANCHES = (ast.If, ast.IfExp, ast.Match)


class PythonFamily:
    """See the head of this module; options are `PythonOptions`."""

    name = "python"
    executor = "python"
    alphabet = ALPHABET
    words = WORDS

    def __init__(self, **options: object) -> None:
        self.options = read_options(PythonOptions, options)
        self._heldout = HeldOut(self.options)

    def propose_prompt(self, kind: Kind, references: Sequence[Task], program: str) -> str:
        return propose_prompt(self.options, kind, references, program)

    def solve_prompt(self, task: Task) -> str:
        return solve_prompt(self.options, task)

    def parse_proposal(self, proposal: Proposal) -> Draft | Malformed:
        if proposal.kind is Kind.INDUCTION:
            draft = read_inputs(self.options, proposal.program, proposal.text)
        else:
            draft = read_task(self.options, proposal.kind, proposal.text)
        return Malformed(HELDOUT, well_formed=True) if isinstance(draft, Draft) and draft in self._heldout else draft

    def parse_answer(self, task: Task, text: str) -> str | Malformed:
        return read_answer(self.options, task, text)

    def reference_answer(self, task: Task) -> str:
        if task.kind is Kind.DEDUCTION:
            return completion(self.options, block("output", shown_value(self.options, task.pairs[0].output)))
        if task.kind is Kind.ABDUCTION:
            return completion(self.options, block("input", task.pairs[0].input))
        return completion(self.options, block("python", task.program))

    def reference_proposal(self, task: Task) -> str:
        inputs = [block("input", pair.input) for pair in task.pairs]
        if task.kind is Kind.INDUCTION:
            return completion(self.options, *inputs, block("message", task.message))
        return completion(self.options, block("python", task.program), *inputs)

    def public_form(self, question: str) -> str | None:
        """Questions in words are asked as they are."""
        return None

    def num_shown(self, draft: Draft) -> int:
        return len(draft.inputs) // 2 if draft.kind is Kind.INDUCTION else 1

    def difficulty(self, draft: Draft) -> float:
        """Nodes of the program's syntax tree, plus those of its inputs, averaged over them."""
        inputs = fmean(len(_nodes(f"f({text})")) for text in draft.inputs)
        return len(_nodes(draft.program)) + inputs

    def features(self, draft: Draft) -> Mapping[str, str]:
        """`shape` of the program (loop, branch or straight) and `takes`, the type of its first argument."""
        nodes = _nodes(draft.program)
        loop = any(isinstance(node, _LOOPS) for node in nodes)
        branch = any(isinstance(node, _BRANCHES) for node in nodes)
        return {"shape": "loop" if loop else "branch" if branch else "straight", "takes": _first_type(draft.inputs[0])}

    def zero(self, kind: Kind) -> Draft:
        """The identity function, called with 'Hello world' first."""
        given = (*ZERO_INPUTS, *(str(number) for number in range(10, 10 + self.options.num_inputs)))
        inputs = tuple(islice(given, self.options.num_inputs if kind is Kind.INDUCTION else 1))
        message = ZERO_MESSAGE if kind is Kind.INDUCTION else ""
        return Draft(kind=kind, program=IDENTITY, inputs=inputs, message=message, normal=_normal(IDENTITY))

    def generate(self, kind: Kind, rng: random.Random) -> Draft:
        while True:
            draft = random_draft(kind, self.options, rng)
            if draft not in self._heldout:
                return draft

    def is_heldout(self, draft: Draft) -> bool:
        """Whether it is refused as a proposal; also for a draft that comes without its program's normal form."""
        read = read_program(draft.program, self.options.limits)
        return (replace(draft, normal=read.normal) if isinstance(read, Program) else draft) in self._heldout

    def heldout(self) -> Mapping[str, Sequence[Draft]]:
        return self._heldout.suites

    def datasets(self) -> Mapping[str, Sequence[Draft]]:
        return {}


def _normal(source: str) -> str:
    program = read_program(source)
    assert isinstance(program, Program), f"this program must read: {source}"
    return program.normal


def _nodes(source: str) -> list[ast.AST]:
    """Without contexts (load or store), which say nothing of their own. None for text that does not parse."""
    tree = parse_tree(source)
    return [node for node in ast.walk(tree) if not isinstance(node, ast.expr_context)] if tree else []


def _first_type(text: str) -> str:
    try:
        arguments = parse_arguments(text)
    except LiteralError:
        return "unread"
    values = (*arguments.positional, *(value for _, value in arguments.keywords))
    return type(values[0]).__name__ if values else "nothing"
