import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.play_sections import FamilySection
from configs.schema import RunConfig
from configs.system_sections import EvaluationSection
from selfplay.answers import Rule
from selfplay.evaluate import evaluate, gap, heldout_items, judge_references, judge_suite, task_item, train_items
from selfplay.items import Completion, Item
from selfplay.loop import Parts
from selfplay.programs import ProgramTest
from selfplay.suites import read_answers
from tasks.arithmetic.family import ArithmeticFamily
from tasks.records import Draft, Kind, Origin
from verifier.execution import Call, Outcome
from verifier.verifier import FamilyVerifier


@pytest.mark.slow
def test_suites_are_those_of_the_kinds_that_are_played(family: ArithmeticFamily, verifier: FamilyVerifier) -> None:
    assert {name: len(items) for name, items in heldout_items(family, verifier, list(Kind)).items()} == {
        "deduction": 200,
        "deduction_full": 1000,
        "abduction": 200,
        "induction": 1000,
    }
    assert set(heldout_items(family, verifier, [Kind.INDUCTION])) == {"induction"}


def test_the_train_suite_is_of_the_data_set_and_the_gap_is_over_the_heldout_one(
    parts: Parts, family: ArithmeticFamily, verifier: FamilyVerifier
) -> None:
    assert train_items(RunConfig(), family, verifier) == {}
    chosen = RunConfig(evaluation=EvaluationSection(train_set="arithmetic-100"))
    grpo = RunConfig(mode="grpo", dataset="arithmetic-100", family=FamilySection(kinds=("deduction",)))
    trained = train_items(chosen, family, verifier)
    assert trained == train_items(grpo, family, verifier)
    assert {item.prompt for item in trained["train"]}.isdisjoint(
        item.prompt for item in heldout_items(family, verifier, list(Kind))["deduction"]
    )
    suites = trained | heldout_items(family, verifier, [Kind.DEDUCTION])
    results = evaluate(parts.generator, verifier, suites, 16, 0)
    accuracy = {result.name: result.scalars()[f"eval/{result.name}/accuracy"] for result in results}
    assert gap(results) == {"eval/gap": accuracy["train"] - accuracy["deduction"]}
    assert gap(results[:1]) == {}


def test_a_train_set_that_the_family_has_not_is_named(family: ArithmeticFamily, verifier: FamilyVerifier) -> None:
    config = RunConfig(evaluation=EvaluationSection(train_set="arithmetic"))
    with pytest.raises(
        ConfigError, match=r"train_set must be a data set of family arithmetic \(arithmetic-100, .*got arithmetic$"
    ):
        train_items(config, family, verifier)


def test_accuracy_counts_right_rows_and_the_groups_add_up(
    parts: Parts, family: ArithmeticFamily, verifier: FamilyVerifier
) -> None:
    suites = heldout_items(family, verifier, list(Kind))
    for result in evaluate(parts.generator, verifier, suites, 16, 5):
        assert result.right == sum(row.right for row in result.rows)
        scalars = result.scalars()
        assert (
            scalars[f"eval/{result.name}/low"] <= scalars[f"eval/{result.name}/accuracy"] <= scalars[f"eval/{result.name}/high"]
        )
        if result.name == "deduction":
            assert set(result.groups) == {"plus", "minus", "times"}
            assert sum(total for _, total in result.groups.values()) == 200
    assert {request.temperature for request in parts.generator.requests} == {0.0}  # type: ignore[attr-defined]


def test_any_jsonl_of_prompt_and_answer_is_taken(tmp_path: Path, parts: Parts, verifier: FamilyVerifier) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": f"{n} + 0 = ", "answer": n}) for n in range(4)) + "\n")
    [result] = evaluate(parts.generator, verifier, {"mine": read_answers(str(path), None).items}, 16, 0)
    assert result.total == 4
    assert all(row.right == (row.text == row.expected) for row in result.rows)


def test_items_of_all_sorts_keep_their_order_and_their_own_judges(family: ArithmeticFamily, verifier: FamilyVerifier) -> None:
    draft = Draft(kind=Kind.DEDUCTION, program="a + b", inputs=("2, 3",))
    [admission] = verifier.build([draft], Origin.HELDOUT, 0, "t")
    assert admission.task is not None
    task = task_item(family, admission.task, "task")
    plain = Item(id="plain", prompt="?", expected="yes", judged_by=Rule.TEXT)
    texts = [Completion(text="5"), Completion(text="yes"), Completion(text="6"), Completion(text="5", truncated=True)]
    result = judge_suite("mixed", [task, plain, task, task], texts, verifier, step=3)
    assert [row.reason for row in result.results] == ["ok", "ok", "value", "truncated"]
    assert [(row.item, row.right, row.step) for row in result.rows] == [
        (0, True, 3),
        (1, True, 3),
        (2, False, 3),
        (3, False, 3),
    ]
    assert result.reasons == {"ok": 2, "value": 1, "truncated": 1}


class FakeExecutor:
    """Gives every program the same outcome."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome

    def run(self, calls: Sequence[Call]) -> list[Outcome]:
        assert all(call.input == "" for call in calls)
        return [self.outcome for _ in calls]

    def same(self, left: str, right: str) -> bool:
        return left == right

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Outcome("ok", "True"), "value"),
        (Outcome("ok", "None"), "value"),
        (Outcome("timeout"), "timeout"),
        (Outcome("error", reason="SystemExit"), "SystemExit"),
    ],
)
def test_a_program_is_right_only_by_its_own_nonce(outcome: Outcome, reason: str) -> None:
    item = Item(id="0", prompt="", expected="", judged_by=ProgramTest(entry_point="f", tests="pass"))
    result = judge_suite("programs", [item], [Completion(text="pass")], None, FakeExecutor(outcome))
    assert result.reasons == {reason: 1}


def test_references_are_judged_without_a_model_and_their_lack_is_told(
    family: ArithmeticFamily, verifier: FamilyVerifier
) -> None:
    for name, items in heldout_items(family, verifier, list(Kind)).items():
        assert judge_references(name, items, verifier).reasons == {"ok": len(items)}
    none = Item(id="none", prompt="?", expected="yes", judged_by=Rule.TEXT)
    wrong = Item(id="wrong", prompt="?", expected="yes", judged_by=Rule.TEXT, reference="no")
    assert judge_references("mine", [none, wrong], None).reasons == {"value": 1, "no_reference": 1}
