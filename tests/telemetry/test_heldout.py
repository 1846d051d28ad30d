import json
from pathlib import Path

import pytest

from telemetry.heldout import read_marks

Rows = list[tuple[int, str, list[int]]]


def write_evals(run: Path, evaluations: Rows, prompts: str = "{}") -> Path:
    """(global step, suite, right or wrong by item)."""
    (run / "telemetry").mkdir(parents=True)
    rows = [
        {"global_step": step, "step": step, "suite": suite, "item": item, "right": bool(right), "prompt": prompts.format(item)}
        for step, suite, rights in evaluations
        for item, right in enumerate(rights)
    ]
    (run / "telemetry" / "evals.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run


def test_the_first_and_the_last_evaluation_of_each_suite_are_read(tmp_path: Path) -> None:
    run = write_evals(
        tmp_path, [(1, "a", [1, 0, 0]), (1, "b", [0, 0]), (5, "a", [0, 0, 0]), (9, "a", [1, 1, 0]), (9, "b", [1, 0])]
    )
    marks = read_marks(run)
    assert list(marks) == ["a", "b"]
    assert (marks["a"].first, marks["a"].last, marks["a"].changes) == ((1, 0, 0), (1, 1, 0), (0, 1, 0))
    assert [one.num_evaluations for one in marks.values()] == [3, 2]


def test_a_suite_measured_once_has_not_changed(tmp_path: Path) -> None:
    marks = read_marks(write_evals(tmp_path, [(3, "a", [1, 0])]))["a"]
    assert (marks.first, marks.last, marks.num_evaluations) == ((1, 0), (1, 0), 1)


def test_an_item_is_known_by_its_prompt_and_a_repeated_prompt_is_another_item(tmp_path: Path) -> None:
    one = read_marks(write_evals(tmp_path / "one", [(1, "a", [1, 0, 1])], "{}"))["a"]
    other = read_marks(write_evals(tmp_path / "other", [(1, "a", [1, 0])], "{}"))["a"]
    same = read_marks(write_evals(tmp_path / "same", [(1, "a", [1, 0])], "the same"))["a"]
    assert other.items == one.items[:2]
    assert len(set(same.items)) == 2
    assert not set(same.items) & set(one.items)
    assert one.only(one.items[:0:-1]).last == (1, 0)


def test_a_run_without_evaluations_has_no_marks(tmp_path: Path) -> None:
    assert read_marks(tmp_path) == {}


def test_a_suite_that_lost_items_is_damage_and_not_a_figure(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3 items of a suite at first and 2 at last"):
        read_marks(write_evals(tmp_path, [(1, "a", [1, 0, 0]), (2, "a", [1, 0])]))
