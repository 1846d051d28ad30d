from collections.abc import Callable
from pathlib import Path

import pytest

from telemetry.history import read_history
from telemetry.jsonl import JsonlSink, folder
from telemetry.records import Phase, StepRecord

Records = Callable[..., StepRecord]


def test_suites_say_first_last_and_best(tmp_path: Path, make_record: Records) -> None:
    sink = JsonlSink(tmp_path)
    for step, accuracy in ((1, 0.4), (2, None), (3, 0.7), (4, 0.6)):
        sink.write(make_record(step, accuracy=accuracy))
    sink.close()
    suites = {suite.suite: suite for suite in read_history(tmp_path).suites()}
    assert list(suites) == ["deduction", "abduction"]
    assert suites["deduction"].initial == pytest.approx((0.4, 0.33, 0.47))
    assert suites["deduction"].final == pytest.approx((0.6, 0.53, 0.67))
    assert suites["deduction"].best == 0.7


def test_buffer_growth_counts_from_the_end_of_seeding(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path)
    for step, phase, size in (
        (1, Phase.SEEDING, 1),
        (2, Phase.SEEDING, 32),
        (3, Phase.SELF_PLAY, 40),
        (4, Phase.SELF_PLAY, 65),
    ):
        sink.write(StepRecord(global_step=step, phase=phase, step=step, version=0, scalars={"buffer/induction": float(size)}))
    sink.close()
    assert read_history(tmp_path).buffers() == {"induction": {"seed": 32, "final": 65}}


def test_suite_names_may_hold_slashes_and_what_was_not_finite_is_left_out(tmp_path: Path) -> None:
    scalars = {"eval/cruxeval-i/o/accuracy": 0.2, "eval/broken/accuracy": float("nan"), "buffer/deduction": float("nan")}
    sink = JsonlSink(tmp_path)
    sink.write(StepRecord(global_step=1, phase=Phase.SELF_PLAY, step=1, version=0, scalars=scalars))
    sink.close()
    history = read_history(tmp_path)
    assert [suite.suite for suite in history.suites()] == ["cruxeval-i/o"]
    assert history.buffers() == {}


def test_run_without_steps_is_an_empty_history(tmp_path: Path) -> None:
    history = read_history(tmp_path)
    assert (history.lines, history.suites(), history.buffers()) == ([], [], {})


def test_step_without_its_fields_is_named(tmp_path: Path) -> None:
    folder(tmp_path).mkdir()
    (folder(tmp_path) / "steps.jsonl").write_text('{"global_step": 9}\n')
    with pytest.raises(ValueError, match=r"step 9 of steps\.jsonl must have phase"):
        read_history(tmp_path)
