import json
from pathlib import Path

import pytest

from configs.errors import UserError
from selfplay.evaluate import evaluate, file_items, heldout_items
from selfplay.loop import Parts
from tasks.arithmetic.family import ArithmeticFamily
from tasks.records import Kind
from verifier.verifier import FamilyVerifier


def test_suites_are_those_of_the_kinds_that_are_played(family: ArithmeticFamily, verifier: FamilyVerifier) -> None:
    assert {name: len(items) for name, items in heldout_items(family, verifier, list(Kind)).items()} == {
        "deduction": 200,
        "deduction_full": 1000,
        "abduction": 200,
        "induction": 200,
    }
    assert set(heldout_items(family, verifier, [Kind.INDUCTION])) == {"induction"}


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


def test_gpt3_files_are_read_and_asked_in_the_public_form(shared_data: Path, family: ArithmeticFamily) -> None:
    items = file_items(shared_data / "gpt3_arithmetic" / "two_digit_addition.jsonl", family)
    assert len(items) == 2000
    assert (items[0].prompt, items[0].expected) == ("Calculate: 98 + 45 = ", "143")
    verbatim = file_items(shared_data / "gpt3_arithmetic" / "two_digit_addition.jsonl", None, limit=1)
    assert verbatim[0].prompt == "\n\nQ: What is 98 plus 45?\n\nA:"


def test_any_jsonl_of_prompt_and_answer_is_taken(tmp_path: Path, parts: Parts, verifier: FamilyVerifier) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": f"{n} + 0 = ", "answer": n}) for n in range(4)) + "\n")
    [result] = evaluate(parts.generator, verifier, {"mine": file_items(path, None)}, 16, 0)
    assert result.total == 4
    assert all(row.right == (row.text == row.expected) for row in result.rows)


@pytest.mark.parametrize("line", ["not json", "[1]", '{"prompt": "x"}', '{"answer": 3}'])
def test_a_bad_line_is_named_with_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"prompt": "1 + 1 = ", "answer": 2}\n' + line + "\n")
    with pytest.raises(UserError, match=r"bad\.jsonl line 2 must be a JSON object"):
        file_items(path, None)


def test_a_missing_or_empty_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        file_items(tmp_path / "none.jsonl", None)
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(UserError, match="at least one line"):
        file_items(tmp_path / "empty.jsonl", None)
