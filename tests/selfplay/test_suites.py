"""Named suites: what their rows mean, and that their recorded answers are right by the same judges that mark a model."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.errors import UserError
from configs.system_sections import VerifiersSection
from selfplay.answers import Rule
from selfplay.evaluate import judge_references, judge_suite
from selfplay.items import Completion
from selfplay.programs import ProgramTest
from selfplay.suites import FORMS, Suite, read_answers, read_suite
from tasks.arithmetic.family import ArithmeticFamily
from tasks.records import Kind, Task
from verifier.verifier import FamilyVerifier


@pytest.fixture(scope="module")
def python() -> Iterator[FamilyVerifier]:
    verifier = FamilyVerifier(
        "python", {"heldout_deduction": 0, "heldout_abduction": 0, "heldout_induction": 0}, VerifiersSection(timeout_s=60)
    )
    yield verifier
    verifier.close()


def write(path: Path, *rows: object) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


DOUBLE = {"code": "def f(n):\n    return n * 2", "input": "4", "output": "8", "id": "double"}
SPREAD = {"code": "def f(n, **more):\n    return sorted(more)", "input": "*[1], b=2", "output": "['b']", "id": "spread"}
WRONG = DOUBLE | {"output": "8.0", "id": "wrong"}
FAILS = DOUBLE | {"input": "None", "id": "fails"}


def test_rows_become_tasks_and_those_whose_output_differs_are_left_out_and_told(tmp_path: Path, python: FamilyVerifier) -> None:
    source = write(tmp_path / "rows.jsonl", DOUBLE, WRONG, FAILS, SPREAD)
    for name, kind in (("cruxeval-o", Kind.DEDUCTION), ("cruxeval-i", Kind.ABDUCTION)):
        suite = read_suite(name, source, python, chat=False)
        assert [item.id for item in suite.items] == ["double", "spread"]
        assert suite.left_out == {"recorded_output": ("wrong",), "TypeError": ("fails",)}
        tasks = [item.judged_by for item in suite.items]
        assert all(isinstance(task, Task) and task.kind is kind for task in tasks)
        assert "n * 2" in suite.items[0].prompt


def test_a_program_s_own_output_is_hidden_in_deduction_and_its_input_in_abduction(
    tmp_path: Path, python: FamilyVerifier
) -> None:
    row = {"code": "def f(n):\n    return n[::-1]", "input": "'desserts'", "output": "'stressed'", "id": "0"}
    source = write(tmp_path / "rows.jsonl", row)
    [out] = read_suite("cruxeval-o", source, python, chat=False).items
    [given] = read_suite("cruxeval-i", source, python, chat=False).items
    assert "desserts" in out.prompt
    assert "stressed" not in out.prompt
    assert "stressed" in given.prompt
    assert "desserts" not in given.prompt


def test_an_input_that_is_no_literal_is_asked_but_has_no_reference(tmp_path: Path, python: FamilyVerifier) -> None:
    row = {"code": "def f(text):\n    return len(text)", "input": "''.join(['A'] * 20)", "output": "20", "id": "0"}
    suite = read_suite("cruxeval-i", write(tmp_path / "rows.jsonl", row), python, chat=False)
    assert judge_references("cruxeval-i", suite.items, python).reasons == {"no_reference": 1}
    [item] = suite.items
    literal = item.expected.replace("''.join(['A'] * 20)", f"'{'B' * 20}'")
    assert judge_suite("cruxeval-i", [item], [Completion(text=literal)], python).right == 1
    assert judge_suite("cruxeval-i", [item], [Completion(text=item.expected)], python).reasons != {"ok": 1}


def test_tags_that_are_closed_make_a_truncated_answer_whole(tmp_path: Path, python: FamilyVerifier) -> None:
    source = write(tmp_path / "rows.jsonl", DOUBLE)
    for name in ("cruxeval-i", "cruxeval-o"):
        [item] = read_suite(name, source, python, chat=False).items
        cut, whole = (Completion(text=text, truncated=True) for text in (item.reference[:-1], item.reference + " And"))
        assert judge_suite(name, [item], [cut], python).right == 0
        assert judge_suite(name, [item], [whole], python).right == 1


HUMANEVAL = {
    "task_id": "HumanEval/0",
    "prompt": 'import math\n\ndef half(n):\n    return n / 2\n\ndef quarter(n):\n    """ A fourth. """\n',
    "entry_point": "quarter",
    "canonical_solution": "    return half(half(n))\n",
    "test": "\nMETADATA = {}\n\ndef check(candidate):\n    assert candidate(8) == math.floor(2)\n",
}
MBPP = {
    "task_id": 11,
    "text": "Write a function to add up.",
    "code": "class Pair:\r\n  def __init__(self, a, b):\r\n    self.a, self.b = a, b\r\ndef sum(p):\r\n\treturn p.a + p.b",
    "test_setup_code": "pair = Pair(1, 2)",
    "test_list": ["assert int(sum(pair)) == 3", "assert sum(Pair(2, 2)) == 4"],
}


def test_a_humaneval_row_is_a_stub_with_what_stands_before_it(tmp_path: Path, python: FamilyVerifier) -> None:
    source = write(tmp_path / "rows.jsonl", HUMANEVAL)
    [plain] = read_suite("humaneval", source, None, chat=False).items
    [chat] = read_suite("humaneval", source, None, chat=True).items
    assert plain.prompt == HUMANEVAL["prompt"]
    assert f"```python\n{plain.prompt}```" in chat.prompt
    assert isinstance(plain.judged_by, ProgramTest)
    assert plain.judged_by.preamble + plain.judged_by.stub == plain.prompt
    assert plain.judged_by.stub.startswith("def quarter(")
    assert judge_references("humaneval", [plain, chat], None, python.executor).right == 2
    whole = Completion(text="```python\ndef quarter(n):\n    return half(n) / 2\n```")
    assert judge_suite("humaneval", [chat], [whole], None, python.executor).right == 1


def test_an_mbpp_row_shows_its_tests_and_its_setup_may_use_the_solution(tmp_path: Path, python: FamilyVerifier) -> None:
    source = write(tmp_path / "rows.jsonl", MBPP)
    for chat in (False, True):
        [item] = read_suite("mbpp", source, None, chat=chat).items
        assert "to add up." in item.prompt
        assert "assert int(sum(pair)) == 3\nassert sum(Pair(2, 2)) == 4\n" in item.prompt
        assert isinstance(item.judged_by, ProgramTest)
        assert item.judged_by.entry_point == "sum"
        assert judge_references("mbpp", [item], None, python.executor).reasons == {"ok": 1}


def test_the_test_split_of_mbpp_is_task_11_to_510(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", *(MBPP | {"task_id": number} for number in (1, 10, 11, 510, 511, 974)))
    assert [item.id for item in read_suite("mbpp-test", source, None, chat=False).items] == ["11", "510"]
    assert [item.id for item in read_suite("mbpp-test", source, None, chat=False, limit=1).items] == ["11"]
    assert len(read_suite("mbpp", source, None, chat=False).items) == 6


def test_a_word_problem_is_asked_after_examples_and_marked_by_its_final_number(tmp_path: Path) -> None:
    row = {"question": "How many are 7,000 and 5?", "answer": "7000 + 5 = <<7000+5=7005>>7005.\n#### 7,005"}
    [item] = read_suite("gsm8k", write(tmp_path / "rows.jsonl", row), None, chat=False).items
    assert item.prompt.endswith("Question: How many are 7,000 and 5?\nAnswer:")
    assert (item.judged_by, item.expected) == (Rule.FINAL_NUMBER, "7005")
    assert judge_references("gsm8k", [item], None).right == 1


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("humaneval", HUMANEVAL | {"entry_point": "third"}),
        ("humaneval", {"prompt": "def f():"}),
        ("mbpp", MBPP | {"code": "x = 1"}),
        ("mbpp", MBPP | {"test_list": "assert True"}),
        ("gsm8k", {"question": "1 + 1?", "answer": "two"}),
        ("cruxeval-o", {"code": "def f(): pass"}),
    ],
)
def test_a_row_of_another_data_set_is_one_line_with_its_place(
    tmp_path: Path, python: FamilyVerifier, name: str, row: dict[str, object]
) -> None:
    with pytest.raises(UserError, match=r"rows\.jsonl line 1 must have") as told:
        read_suite(name, write(tmp_path / "rows.jsonl", row), python, chat=False)
    assert "\n" not in str(told.value)


def test_gpt3_files_are_read_and_asked_in_the_public_form(shared_data: Path, family: ArithmeticFamily) -> None:
    path = str(shared_data / "gpt3_arithmetic" / "two_digit_addition.jsonl")
    items = read_answers(path, family).items
    assert len(items) == 2000
    assert (items[0].prompt, items[0].expected) == ("Calculate: 98 + 45 = ", "143")
    verbatim = read_answers(path, None, limit=1).items
    assert [item.prompt for item in verbatim] == ["\n\nQ: What is 98 plus 45?\n\nA:"]


@pytest.mark.parametrize("row", [{"prompt": "x"}, {"answer": 3}, {"prompt": 1, "answer": 1}, {"prompt": "x", "answer": None}])
def test_a_row_without_prompt_or_answer_is_named(tmp_path: Path, row: dict[str, object]) -> None:
    with pytest.raises(UserError, match=r"rows\.jsonl line 1 must be a JSON object with text under one of"):
        read_answers(write(tmp_path / "rows.jsonl", row), None)


def test_expected_answers_that_are_no_integers_can_be_right(tmp_path: Path) -> None:
    answers = ["yes", 3.5, "34 apples", "1\n2", True, "Half.\n#### 9"]
    suite = read_answers(write(tmp_path / "rows.jsonl", *({"prompt": "?", "answer": answer} for answer in answers)), None)
    texts = ["yes\nno", "3.50", "34 apples", "1\n2", "True", "It is 9"]
    result = judge_suite("mine", suite.items, [Completion(text=text) for text in texts], None)
    assert result.reasons == {"ok": len(answers)}
    wrong = judge_suite("mine", suite.items, [Completion(text="34") for _ in answers], None)
    assert wrong.right == 0


REFERENCES = {
    "humaneval": (164, {"ok": 164}),
    "mbpp": (974, {"ok": 974}),
    "mbpp-test": (500, {"ok": 500}),
    "cruxeval-o": (400, {"ok": 400}),
    "cruxeval-i": (400, {"ok": 395, "no_reference": 5}),  # five inputs hold calls or sums
    "gsm8k": (1319, {"ok": 1319}),
}


def test_every_named_suite_is_checked_by_its_references() -> None:
    assert set(REFERENCES) == set(FORMS)


@pytest.mark.slow
@pytest.mark.parametrize("name", REFERENCES)
def test_the_recorded_answers_of_the_data_are_right(shared_data: Path, python: FamilyVerifier, name: str) -> None:
    path = shared_data / FORMS[name].file
    if not path.is_file():
        pytest.skip(f"real data is absent: {path}")
    suite: Suite = read_suite(name, str(path), python, chat=True)
    result = judge_references(name, suite.items, python, python.executor)
    assert not suite.left_out
    assert (result.total, result.reasons) == REFERENCES[name], [row.item.id for row in result.results if not row.right]
