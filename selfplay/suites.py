"""Suites for evaluation: named data sets, and any file of prompt and answer, as items with what judges them.

Owns what the rows of each data set mean. Invariant: what is expected of a task was computed by the verifier, and a row whose
recorded output differs from it is left out and told, never used. Nothing is asked or judged here.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from configs.errors import UserError
from selfplay.answers import Rule, find_rule
from selfplay.evaluate import task_item
from selfplay.items import Item
from selfplay.programs import ProgramTest, fence
from selfplay.suite_prompts import humaneval_prompt, mbpp_prompt, word_problem_prompt
from tasks.family import Family
from tasks.prompts.rows import ANSWER_KEYS, PROMPT_KEYS
from tasks.records import Admission, Draft, Kind, Malformed, Origin, Task
from tasks.rows import Row, read_rows
from verifier.verifier import FamilyVerifier

ID_KEYS = ("id", "task_id")
MBPP_TEST = range(11, 511)  # task ids of the split that papers report
DIFFERS = "recorded_output"  # why a row is left out: the verifier computes another output


class Judge(StrEnum):
    """What a suite needs in order to be judged."""

    NOTHING = "nothing"  # a rule for plain answers
    VERIFIER = "verifier"  # of the Python family
    EXECUTOR = "executor"  # of Python


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A named data set: its file under the data root, what judges it, and how long its answers may get (tokens)."""

    file: str
    judge: Judge
    max_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Items to ask; `left_out` has the ids of rows that cannot be used, by reason."""

    items: tuple[Item, ...] = field(repr=False)
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


FORMS: Mapping[str, Form] = {
    "cruxeval-i": Form(file="cruxeval/cruxeval_first400.jsonl", judge=Judge.VERIFIER, max_tokens=1024),
    "cruxeval-o": Form(file="cruxeval/cruxeval_first400.jsonl", judge=Judge.VERIFIER, max_tokens=1024),
    "humaneval": Form(file="humaneval/HumanEval.jsonl", judge=Judge.EXECUTOR, max_tokens=512),
    "mbpp": Form(file="mbpp/mbpp.jsonl", judge=Judge.EXECUTOR, max_tokens=512),
    "mbpp-test": Form(file="mbpp/mbpp.jsonl", judge=Judge.EXECUTOR, max_tokens=512),
    "gsm8k": Form(file="gsm8k/test.jsonl", judge=Judge.NOTHING, max_tokens=512),
}


def read_suite(name: str, source: str, verifier: FamilyVerifier | None, *, chat: bool, limit: int = 0) -> Suite:
    """The first `limit` rows (0: all) of a suite of FORMS, from a file or a hub name.

    `verifier`: the Python family's, where the form needs one. `chat`: programs are asked of a model that follows
    instructions. Raises UserError naming the place of a bad row.
    """
    rows = read_rows(source)
    if name == "mbpp-test":
        rows = [row for row in rows if row.data.get("task_id") in MBPP_TEST]
    rows = rows[: limit or None]
    match name:
        case "cruxeval-i" | "cruxeval-o":
            assert verifier is not None, f"{name} needs a verifier"
            return _read_tasks(rows, Kind.ABDUCTION if name == "cruxeval-i" else Kind.DEDUCTION, verifier, name)
        case "humaneval":
            items = [_humaneval_item(row, number, chat) for number, row in enumerate(rows)]
        case "mbpp" | "mbpp-test":
            items = [_mbpp_item(row, number, chat) for number, row in enumerate(rows)]
        case _:
            assert name == "gsm8k", f"{name} must be a suite of FORMS"
            items = [_gsm8k_item(row, number) for number, row in enumerate(rows)]
    return Suite(items=tuple(items))


def read_answers(source: str, family: Family | None, limit: int = 0) -> Suite:
    """The first `limit` rows (0: all) of prompt and answer. With a family, questions that it reads are in its public form."""
    rows = read_rows(source)[: limit or None]
    return Suite(items=tuple(_answer_item(row, number, family) for number, row in enumerate(rows)))


def _answer_item(row: Row, number: int, family: Family | None) -> Item:
    prompt, answer = row.first(PROMPT_KEYS), row.first(ANSWER_KEYS)
    if not isinstance(prompt, str) or answer is None:
        raise UserError(
            f"{row.place} must be a JSON object with text under one of {PROMPT_KEYS} and a value under one of {ANSWER_KEYS}, "
            f"got the keys {', '.join(map(str, row.data))[:80] or 'none'}"
        )
    rule, expected = find_rule(str(answer))
    public = family.public_form(prompt) if family else None
    return Item(id=_id(row, number), prompt=public or prompt, expected=expected, judged_by=rule, reference=str(answer).strip())


def _gsm8k_item(row: Row, number: int) -> Item:
    answer = row.text("answer")
    rule, expected = find_rule(answer)
    if rule is not Rule.FINAL_NUMBER:
        raise UserError(f"{row.place} must have a number after #### in its answer, got {answer[-40:]!r}")
    prompt = word_problem_prompt(row.text("question"))
    return Item(id=_id(row, number), prompt=prompt, expected=expected, judged_by=rule, reference=answer)


def _humaneval_item(row: Row, number: int, chat: bool) -> Item:
    prompt, name = row.text("prompt"), row.text("entry_point")
    start = prompt.rfind(f"def {name}(")
    if start < 0:
        raise UserError(f"{row.place} must have a prompt that holds its entry point {name}, got {prompt[:40]!r}")
    tests = f"{row.text('test')}\ncheck({name})\n"
    return Item(
        id=_id(row, number),
        prompt=humaneval_prompt(prompt, chat),
        expected=tests,
        judged_by=ProgramTest(entry_point=name, tests=tests, stub=prompt[start:], preamble=prompt[:start]),
        kind=Kind.INDUCTION,
        reference=fence(row.text("canonical_solution")),
    )


def _mbpp_item(row: Row, number: int, chat: bool) -> Item:
    """The set-up code runs after the solution: it may build on the solution's classes."""
    asserts, code = "\n".join(row.texts("test_list")), row.text("code")
    called = re.findall(r"\w+(?=\()", asserts)
    name = next((name for name in called if re.search(rf"\bdef\s+{name}\b", code)), "")
    if not name:
        raise UserError(f"{row.place} must have code that defines what its test_list calls, got {code[:40]!r}")
    return Item(
        id=_id(row, number),
        prompt=mbpp_prompt(row.text("text"), asserts, chat),
        expected=asserts,
        judged_by=ProgramTest(entry_point=name, tests=f"{row.text('test_setup_code')}\n{asserts}\n"),
        kind=Kind.INDUCTION,
        reference=fence(code),
    )


def _read_tasks(rows: Sequence[Row], kind: Kind, verifier: FamilyVerifier, name: str) -> Suite:
    """CRUXEval's rows as tasks; the verifier computes their outputs, all in one call."""
    drafts = [Draft(kind=kind, program=row.text("code"), inputs=(row.text("input"),)) for row in rows]
    admissions = verifier.build(drafts, Origin.HELDOUT, 0, name)
    items: list[Item] = []
    left_out: dict[str, list[str]] = {}
    for number, (row, admission) in enumerate(zip(rows, admissions, strict=True)):
        reason = _unusable(row, admission, verifier.executor.same)
        if reason:
            left_out.setdefault(reason, []).append(_id(row, number))
        elif admission.task is not None:
            items.append(_task_item(verifier.family, admission.task, _id(row, number)))
    return Suite(items=tuple(items), left_out={reason: tuple(ids) for reason, ids in left_out.items()})


def _task_item(family: Family, task: Task, name: str) -> Item:
    """Answers must be literals: a row whose own input is none is asked all the same, and has no reference."""
    item = task_item(family, task, name)
    return replace(item, reference="") if isinstance(family.parse_answer(task, item.reference), Malformed) else item


def _unusable(row: Row, admission: Admission, same: Callable[[str, str], bool]) -> str:
    """Why the row cannot be asked; empty where it can."""
    if admission.task is None:
        return admission.reason
    return "" if same(admission.task.pairs[0].output, row.text("output")) else DIFFERS


def _id(row: Row, number: int) -> str:
    """The row's own id, else its number from 0."""
    found = row.first(ID_KEYS)
    return str(number if found is None else found)
