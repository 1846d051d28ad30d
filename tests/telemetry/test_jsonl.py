import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry.jsonl import BEFORE_ALL, FILES, JsonlSink, folder, read_lines, read_records, rewind
from telemetry.records import Phase, StepRecord

Records = Callable[..., StepRecord]


def lines_of(run_dir: Path, name: str) -> list[dict[str, object]]:
    return list(read_lines(folder(run_dir) / f"{name}.jsonl"))


def test_what_is_written_reads_back_with_hostile_text(tmp_path: Path, make_record: Records) -> None:
    record = make_record(1, accuracy=0.5)
    sink = JsonlSink(tmp_path)
    sink.write(record)
    sink.close()
    [step] = lines_of(tmp_path, "steps")
    assert step["scalars"] == record.scalars
    assert [row["text"] for row in lines_of(tmp_path, "proposals")] == [row.text for row in record.proposals]
    assert len(lines_of(tmp_path, "evals")) == 5
    assert {row["global_step"] for name in FILES for row in lines_of(tmp_path, name)} == {1}


def test_records_come_back_as_they_were_emitted(tmp_path: Path, make_record: Records) -> None:
    records = [make_record(1, Phase.WARM_START), make_record(2, accuracy=0.5), make_record(4), make_record(7, accuracy=0.6)]
    sink = JsonlSink(tmp_path)
    for record in records:
        sink.write(record)
    sink.close()
    assert list(read_records(tmp_path)) == records
    assert list(read_records(tmp_path, after=2)) == records[2:]


def test_a_record_that_is_written_while_one_reads_never_comes_without_its_rows(tmp_path: Path, make_record: Records) -> None:
    sink = JsonlSink(tmp_path)
    sink.write(make_record(1, accuracy=0.5))
    reading = read_records(tmp_path)
    assert next(reading) == make_record(1, accuracy=0.5)
    sink.write(make_record(2, accuracy=0.6))
    sink.close()
    assert list(reading) in ([], [make_record(2, accuracy=0.6)])
    assert [record.global_step for record in read_records(tmp_path)] == [1, 2]


def test_numbers_that_are_not_finite_are_null_and_named(tmp_path: Path) -> None:
    scalars = {"loss/total": float("nan"), "grad_norm": float("inf"), "lr": 1.0}
    sink = JsonlSink(tmp_path)
    sink.write(StepRecord(global_step=1, phase=Phase.SELF_PLAY, step=1, version=1, scalars=scalars))
    sink.close()
    [step] = lines_of(tmp_path, "steps")
    assert step["scalars"] == {"loss/total": None, "grad_norm": None, "lr": 1.0}
    assert step["non_finite"] == ["loss/total", "grad_norm"]


def test_lone_surrogates_do_not_stop_the_run(tmp_path: Path, make_record: Records) -> None:
    sink = JsonlSink(tmp_path)
    sink.write(StepRecord(global_step=1, phase=Phase.SELF_PLAY, step=1, version=1, scalars={"odd\udc80name": 1.0}))
    sink.close()
    assert lines_of(tmp_path, "steps")[0]["scalars"] == {"odd\udc80name": 1.0}


@settings(max_examples=150, deadline=None)
@given(
    steps=st.lists(st.integers(0, 60), min_size=1, max_size=12).map(sorted),
    last_step=st.integers(-1, 61),
    cut=st.floats(0, 1),
    text=st.text(max_size=8),
)
def test_rewind_keeps_exactly_the_whole_lines_up_to_the_checkpoint(
    steps: list[int], last_step: int, cut: float, text: str
) -> None:
    written = [
        json.dumps({"global_step": step, "text": text}, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        for step in steps
    ]
    data = b"".join(written)
    data = data[: round(cut * len(data))]
    whole = data.count(b"\n")
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "file.jsonl"
        path.write_bytes(data)
        rewind(path, last_step)
        kept = [step for step in steps[:whole] if step <= last_step]
        assert path.read_bytes() == b"".join(written[: len(kept)])
        rewind(path, last_step)
        assert [line["global_step"] for line in read_lines(path)] == kept


def test_torn_step_line_after_kill_is_dropped_with_the_rows_of_its_step(tmp_path: Path, make_record: Records) -> None:
    sink = JsonlSink(tmp_path)
    for global_step in (1, 2):
        sink.write(make_record(global_step))
    sink.close()
    steps = folder(tmp_path) / "steps.jsonl"
    steps.write_bytes(steps.read_bytes()[:-10])
    assert [record.global_step for record in read_records(tmp_path)] == [1]
    sink = JsonlSink(tmp_path, 1)
    sink.write(make_record(2))
    sink.close()
    assert [line["global_step"] for line in lines_of(tmp_path, "steps")] == [1, 2]
    assert len(lines_of(tmp_path, "proposals")) == 6


def test_start_from_nothing_empties_the_files_of_a_run_that_never_reached_a_checkpoint(
    tmp_path: Path, make_record: Records
) -> None:
    sink = JsonlSink(tmp_path)
    sink.write(make_record(7))
    sink.close()
    JsonlSink(tmp_path, BEFORE_ALL).close()
    assert all(not lines_of(tmp_path, name) for name in FILES)


def test_damage_inside_a_file_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    path.write_text('{"global_step": 1}\nnot json\n{"global_step": 2}\n')
    with pytest.raises(ValueError, match=r"steps\.jsonl:2 must be a JSON object"):
        rewind(path, 5)
