"""Evaluation: greedy accuracy on held-out suites, with a Wilson interval and a break-down by the family's features.

Two sorts of suites: tasks of the family (judged by the verifier, in every evaluation), and files of prompt and answer
(read by the rule of the journals: strip, first integer at the start). No randomness: temperature 0.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.errors import UserError
from selfplay.protocols import Generator, Verifier
from tasks.family import Family
from tasks.records import Answer, Draft, Kind, Origin, Request, Role, Rollout, Task, VerdictStatus
from telemetry.intervals import wilson
from telemetry.records import EvalRow

_INTEGER = re.compile(r"-?\d+")
PROMPT_KEYS, ANSWER_KEYS = ("prompt", "question", "context"), ("answer", "completion")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question of a suite; `task` where the verifier judges, `answer` where the integer rule does."""

    prompt: str
    expected: str
    group: str
    kind: Kind
    task: Task | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResult:
    """Greedy accuracy of one suite; `groups` maps a feature to (right, total)."""

    name: str
    right: int
    total: int
    groups: Mapping[str, tuple[int, int]]
    rows: tuple[EvalRow, ...]

    def scalars(self) -> dict[str, float]:
        low, high = wilson(self.right, self.total)
        accuracy = self.right / self.total if self.total else 0.0
        named = {f"eval/{self.name}/accuracy": accuracy, f"eval/{self.name}/low": low, f"eval/{self.name}/high": high}
        return named | {f"eval/{self.name}/{group}": right / total for group, (right, total) in self.groups.items()}


def heldout_items(family: Family, verifier: Verifier, kinds: Sequence[Kind]) -> dict[str, list[Item]]:
    """The family's own suites for the kinds that are played, with outputs computed by the verifier."""
    suites = {}
    for name, drafts in family.heldout().items():
        tasks = [admission.task for admission in verifier.build(drafts, Origin.HELDOUT, 0, f"heldout-{name}")]
        chosen = [(draft, task) for draft, task in zip(drafts, tasks, strict=True) if task is not None and task.kind in kinds]
        if chosen:
            suites[name] = [_task_item(family, draft, task, by_feature=name == "deduction") for draft, task in chosen]
    return suites


def _task_item(family: Family, draft: Draft, task: Task, by_feature: bool) -> Item:
    group = ",".join(family.features(draft).values()) if by_feature else ""
    return Item(
        prompt=family.solve_prompt(task), expected=family.reference_answer(task), group=group, kind=task.kind, task=task
    )


def file_items(path: Path, family: Family | None, limit: int | None = None) -> list[Item]:
    """Reads a JSONL of prompt and answer. With a family, questions that it can read are asked in its public form.

    Raises UserError naming the file and line.
    """
    items: list[Item] = []
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if limit is not None and len(items) == limit:
                    break
                if line.strip():
                    items.append(_file_item(line, f"{path} line {number}", family))
    except OSError as error:
        raise UserError(f"evaluation data {path} cannot be read ({error.strerror}); check the path") from error
    if not items:
        raise UserError(f"evaluation data {path} must hold at least one line, got none")
    return items


def _file_item(line: str, place: str, family: Family | None) -> Item:
    try:
        data = json.loads(line)
        prompt = next(data[key] for key in PROMPT_KEYS if key in data)
        answer = str(next(data[key] for key in ANSWER_KEYS if key in data))
    except (ValueError, TypeError, StopIteration) as error:
        raise UserError(
            f"{place} must be a JSON object with one of {PROMPT_KEYS} and one of {ANSWER_KEYS}, got {line.strip()[:80]!r}"
        ) from error
    public = family.public_form(prompt) if family else None
    return Item(prompt=public or prompt, expected=_read_integer(answer) or answer.strip(), group="", kind=Kind.DEDUCTION)


def evaluate(
    generator: Generator, verifier: Verifier, suites: Mapping[str, Sequence[Item]], max_tokens: int, step: int
) -> list[SuiteResult]:
    """All suites in one call of the generator, so that its batches are full."""
    requests = [
        _request(name, number, item, max_tokens, step) for name, items in suites.items() for number, item in enumerate(items)
    ]
    rollouts = generator.generate(requests)
    results, start = [], 0
    for name, items in suites.items():
        results.append(_judge(name, items, rollouts[start : start + len(items)], verifier))
        start += len(items)
    return results


def _request(suite: str, number: int, item: Item, max_tokens: int, step: int) -> Request:
    return Request(
        task_id=f"eval-{suite}-{number}",
        attempt=0,
        step=step,
        kind=item.kind,
        role=Role.SOLVE,
        prompt=item.prompt,
        seed=0,
        temperature=0.0,
        max_tokens=max_tokens,
    )


def _judge(name: str, items: Sequence[Item], rollouts: Sequence[Rollout], verifier: Verifier) -> SuiteResult:
    graded = [(item, rollout) for item, rollout in zip(items, rollouts, strict=True) if item.task is not None]
    answers = [
        Answer(attempt_id=rollout.attempt_id, task=item.task, text=rollout.text) for item, rollout in graded if item.task
    ]
    verdicts = {verdict.attempt_id: verdict.status is VerdictStatus.RIGHT for verdict in verifier.grade(answers)}
    rights = [
        verdicts.get(rollout.attempt_id, item.task is None and _read_integer(rollout.text) == item.expected)
        and not _cut_off(item, rollout)
        for item, rollout in zip(items, rollouts, strict=True)
    ]
    groups: dict[str, tuple[int, int]] = {}
    for item, right in zip(items, rights, strict=True):
        if item.group:
            before = groups.get(item.group, (0, 0))
            groups[item.group] = (before[0] + right, before[1] + 1)
    rows = tuple(_row(name, *row) for row in zip(range(len(items)), items, rollouts, rights, strict=True))
    return SuiteResult(name=name, right=sum(rights), total=len(items), groups=groups, rows=rows)


def _row(suite: str, number: int, item: Item, rollout: Rollout, right: bool) -> EvalRow:
    return EvalRow(
        step=rollout.step,
        version=rollout.policy_version,
        kind=item.kind.value,
        role=Role.SOLVE.value,
        suite=suite,
        item=number,
        prompt=item.prompt,
        text=rollout.text,
        expected=item.expected,
        right=right,
    )


def _cut_off(item: Item, rollout: Rollout) -> bool:
    """Whether a completion that was cut by length lacks the end of its answer: a number is whole once text follows it."""
    whole_number = item.kind is Kind.DEDUCTION and _read_integer(rollout.text) != rollout.text.strip()
    return rollout.truncated and not whole_number


def _read_integer(text: str) -> str | None:
    """The journals' rule: strip, then the first integer at the very start."""
    found = _INTEGER.match(text.strip())
    return found.group() if found else None
