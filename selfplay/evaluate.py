"""Evaluation: the items of suites are asked greedily, and each is judged by what it names.

Owns the requests and the dispatch to the judges: the verifier (tasks), an executor (programs with tests), the rules of
`selfplay.answers` (plain answers). No randomness: temperature 0. Items of files are read by `selfplay.suites`.
"""

import secrets
from collections.abc import Mapping, Sequence

from configs.errors import ConfigError
from configs.schema import RunConfig
from selfplay.answers import RIGHT, is_whole_integer, mark
from selfplay.items import Completion, Item, ItemResult, SuiteResult
from selfplay.programs import ProgramTest, make_program
from selfplay.protocols import Generator, Verifier
from tasks.family import Family
from tasks.records import Answer, Draft, Kind, Origin, Request, Role, Rollout, Task, VerdictStatus
from verifier.execution import Call, Executor, Outcome

NO_REFERENCE = "no_reference"
TRAIN, HELDOUT = "train", "deduction"  # suites of the same form: what may be trained on, and what may not
TRAIN_COUNT = 200
TRUNCATED = "truncated"
ANSWER_END = "</answer>"  # where a prompt asks for tags, nothing is lacking after it


def heldout_items(family: Family, verifier: Verifier, kinds: Sequence[Kind]) -> dict[str, list[Item]]:
    """The family's own suites for the kinds that are played, with outputs computed by the verifier."""
    suites = {}
    for name, drafts in family.heldout().items():
        tasks = [admission.task for admission in verifier.build(drafts, Origin.HELDOUT, 0, f"heldout-{name}")]
        chosen = [(draft, task) for draft, task in zip(drafts, tasks, strict=True) if task is not None and task.kind in kinds]
        if chosen:
            suites[name] = [_heldout_item(family, draft, task, name) for draft, task in chosen]
    return suites


def train_items(config: RunConfig, family: Family, verifier: Verifier) -> dict[str, list[Item]]:
    """The suite `train`: tasks that may be trained on, the first TRAIN_COUNT of a data set. Its accuracy over that of the
    held-out suite of the same form is what was memorised. Raises ConfigError as `train_drafts` does.
    """
    drafts = [draft for draft in train_drafts(config, family) if draft.kind in config.family.kinds][:TRAIN_COUNT]
    tasks = [admission.task for admission in verifier.build(drafts, Origin.GENERATED, 0, "train")]
    items = [task_item(family, task, task.task_id) for task in tasks if task is not None]
    return {TRAIN: items} if items else {}


def train_drafts(config: RunConfig, family: Family) -> Sequence[Draft]:
    """The data set `evaluation.train_set`, else the one played. Raises ConfigError for one that the family has not."""
    name = config.evaluation.train_set or config.dataset
    if not name:
        return ()
    sets = family.datasets()
    if name not in sets:
        raise ConfigError(
            f"evaluation.train_set must be a data set of family {family.name} ({', '.join(sets) or 'it has none'}), got {name}"
        )
    return sets[name]


def gap(results: Sequence[SuiteResult]) -> dict[str, float]:
    """`eval/gap`: accuracy on tasks that may be trained on, over that on held-out deduction tasks; where both were asked."""
    accuracy = {result.name: result.right / result.total for result in results}
    return {"eval/gap": accuracy[TRAIN] - accuracy[HELDOUT]} if {TRAIN, HELDOUT} <= accuracy.keys() else {}


def task_item(family: Family, task: Task, name: str, group: str = "") -> Item:
    """The task as the family asks it."""
    answer = family.reference_answer(task)
    return Item(
        id=name,
        prompt=family.solve_prompt(task),
        expected=answer,
        judged_by=task,
        kind=task.kind,
        group=group,
        reference=answer,
    )


def _heldout_item(family: Family, draft: Draft, task: Task, suite: str) -> Item:
    group = ",".join(family.features(draft).values()) if suite == "deduction" else ""
    return task_item(family, task, task.task_id, group)


def evaluate(
    generator: Generator,
    verifier: Verifier | None,
    suites: Mapping[str, Sequence[Item]],
    max_tokens: int,
    step: int,
    executor: Executor | None = None,
) -> list[SuiteResult]:
    """All suites in one call of the generator, so that its batches are full.

    `verifier`: where items are tasks. `executor`: where they are programs.
    """
    rollouts = generator.generate(eval_requests(suites, max_tokens, step))
    return judge_suites(suites, rollouts, verifier, step, executor)


def eval_requests(suites: Mapping[str, Sequence[Item]], max_tokens: int, step: int) -> list[Request]:
    """One greedy request per item, suite by suite."""
    return [
        _request(name, number, item, max_tokens, step) for name, items in suites.items() for number, item in enumerate(items)
    ]


def judge_suites(
    suites: Mapping[str, Sequence[Item]],
    rollouts: Sequence[Rollout],
    verifier: Verifier | None,
    step: int,
    executor: Executor | None = None,
) -> list[SuiteResult]:
    """`rollouts`: the answers to `eval_requests`, in their order."""
    completions = [
        Completion(text=rollout.text, truncated=rollout.truncated, version=rollout.policy_version) for rollout in rollouts
    ]
    results, start = [], 0
    for name, items in suites.items():
        results.append(judge_suite(name, items, completions[start : start + len(items)], verifier, executor, step))
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


def judge_suite(
    name: str,
    items: Sequence[Item],
    completions: Sequence[Completion],
    verifier: Verifier | None,
    executor: Executor | None = None,
    step: int = 0,
) -> SuiteResult:
    """Judges one completion per item; each sort of judge gets all of its items at once."""
    pairs = list(zip(items, completions, strict=True))
    tasks = iter(_grade([(item.judged_by, text.text) for item, text in pairs if isinstance(item.judged_by, Task)], verifier))
    tests = [(item.judged_by, text.text) for item, text in pairs if isinstance(item.judged_by, ProgramTest)]
    programs = iter(_run_tests(tests, executor))
    reasons = []
    for item, completion in pairs:
        match item.judged_by:
            case Task():
                reason = next(tasks)
                reasons.append(TRUNCATED if reason == RIGHT and is_cut(item, completion) else reason)
            case ProgramTest():
                reasons.append(next(programs))
            case rule:
                reasons.append(mark(rule, item.expected, completion.text, truncated=completion.truncated))
    results = tuple(
        ItemResult(item=item, completion=completion, reason=reason)
        for (item, completion), reason in zip(pairs, reasons, strict=True)
    )
    return SuiteResult(name=name, results=results, step=step)


def judge_references(
    name: str, items: Sequence[Item], verifier: Verifier | None, executor: Executor | None = None
) -> SuiteResult:
    """How many of the recorded answers are right: a check of the data and of the judges, without a model.

    An item that has none ends with the reason "no_reference".
    """
    recorded = [item for item in items if item.reference]
    judged = judge_suite(name, recorded, [Completion(text=item.reference) for item in recorded], verifier, executor)
    none = [ItemResult(item=item, completion=Completion(text=""), reason=NO_REFERENCE) for item in items if not item.reference]
    return SuiteResult(name=name, results=(*judged.results, *none))


def _grade(answers: Sequence[tuple[Task, str]], verifier: Verifier | None) -> list[str]:
    if not answers:
        return []
    assert verifier is not None, "suites of tasks are asked with a verifier"
    verdicts = verifier.grade(
        [Answer(attempt_id=f"eval-{number}", task=task, text=text) for number, (task, text) in enumerate(answers)]
    )
    return [RIGHT if verdict.status is VerdictStatus.RIGHT else verdict.reason for verdict in verdicts]


def _run_tests(answers: Sequence[tuple[ProgramTest, str]], executor: Executor | None) -> list[str]:
    """Each answer's program in the sandbox: right when it returns the nonce that only its own tests know."""
    if not answers:
        return []
    assert executor is not None, "suites of programs are asked with an executor"
    nonces = [secrets.token_hex(16) for _ in answers]
    calls = [
        Call(program=make_program(text, test, nonce), input="") for (test, text), nonce in zip(answers, nonces, strict=True)
    ]
    return [_tested(outcome, nonce, executor) for outcome, nonce in zip(executor.run(calls), nonces, strict=True)]


def _tested(outcome: Outcome, nonce: str, executor: Executor) -> str:
    if outcome.status != "ok":
        return outcome.reason or outcome.status
    return RIGHT if executor.same(repr(nonce), outcome.output) else "value"


def is_cut(item: Item, completion: Completion) -> bool:
    """Whether a completion that was cut by length may lack the end of its answer."""
    whole = ANSWER_END in completion.text or (item.kind is Kind.DEDUCTION and is_whole_integer(completion.text))
    return completion.truncated and not whole
