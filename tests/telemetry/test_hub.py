import io
import json
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from configs.errors import UserError
from configs.schema import RunConfig
from telemetry.console import ConsoleSink, View
from telemetry.hub import TelemetryHub
from telemetry.jsonl import folder, read_lines
from telemetry.records import Phase, StepRecord

KINDS = ("deduction", "abduction", "induction")
Records = Callable[..., StepRecord]
Configs = Callable[..., RunConfig]


def open_hub(run_dir: Path, config: RunConfig, resume: int | None = None, view: View | None = None) -> TelemetryHub:
    return TelemetryHub(run_dir, config, resume_global_step=resume, wandb_run_id="abc", console=False, view=view)


def steps_of(run_dir: Path) -> list[int]:
    return [line["global_step"] for line in read_lines(folder(run_dir) / "steps.jsonl")]


def status_of(run_dir: Path) -> dict[str, object]:
    status: dict[str, object] = json.loads((run_dir / "status.json").read_text())
    return status


@pytest.mark.parametrize("second", [4, 5])
def test_global_step_that_does_not_grow_is_an_error(
    tmp_path: Path, make_record: Records, make_config: Configs, second: int
) -> None:
    hub = open_hub(tmp_path, make_config())
    hub.emit(make_record(5))
    with pytest.raises(ValueError, match=f"global_step must be above 5, the last one, got {second}"):
        hub.emit(make_record(second))
    hub.close("failed", {})
    assert steps_of(tmp_path) == [5]


def test_resumed_hub_refuses_steps_of_the_checkpoint_and_before(
    tmp_path: Path, make_record: Records, make_config: Configs
) -> None:
    hub = open_hub(tmp_path, make_config(), resume=10)
    with pytest.raises(ValueError, match="above 10"):
        hub.emit(make_record(10))
    hub.emit(make_record(11))
    hub.close("finished", {})


def test_status_follows_the_run_and_ends_with_its_last_word(tmp_path: Path, make_record: Records, make_config: Configs) -> None:
    run_dir = tmp_path / "tiny-cpu-s3"
    hub = open_hub(run_dir, make_config())
    assert status_of(run_dir)["status"] == "running"
    assert status_of(run_dir)["pid"] == os.getpid()
    hub.emit(make_record(4))
    during = status_of(run_dir)
    assert (during["config"], during["seed"], during["tokens"], during["global_step"]) == ("tiny-cpu", 3, 20_000.0, 4)
    assert (during["notes"], during["phase"], during["wandb_run_id"]) == ("a note", "self_play", "abc")
    hub.close("finished", {"accuracy": 0.5})
    hub.close("failed", {})
    assert status_of(run_dir)["status"] == "finished"


def test_seconds_go_on_over_sessions(tmp_path: Path, make_record: Records, make_config: Configs) -> None:
    open_hub(tmp_path, make_config()).close("interrupted", {})
    status = status_of(tmp_path)
    (tmp_path / "status.json").write_text(json.dumps({**status, "seconds": 100.0}))
    open_hub(tmp_path, make_config(), resume=0).close("finished", {})
    seconds = status_of(tmp_path)["seconds"]
    assert isinstance(seconds, float)
    assert 100.0 < seconds < 160.0


def test_resume_rewinds_the_files_to_the_checkpoint(tmp_path: Path, make_record: Records, make_config: Configs) -> None:
    hub = open_hub(tmp_path, make_config())  # never gets to a last word, as after kill -9
    for step in range(1, 9):
        hub.emit(make_record(step))
    resumed = open_hub(tmp_path, make_config(), resume=4)
    assert steps_of(tmp_path) == [1, 2, 3, 4]
    resumed.emit(make_record(5))
    assert steps_of(tmp_path) == [1, 2, 3, 4, 5]
    resumed.close("finished", {})


def test_damaged_event_file_is_one_line_for_the_user(tmp_path: Path, make_config: Configs) -> None:
    folder(tmp_path).mkdir()
    (folder(tmp_path) / "steps.jsonl").write_text("oops\n{}\n")
    with pytest.raises(UserError, match=r"steps\.jsonl:1 must be a JSON object"):
        open_hub(tmp_path, make_config())


def test_full_disk_is_one_line_for_the_user(tmp_path: Path, make_record: Records, make_config: Configs) -> None:
    hub = open_hub(tmp_path, make_config())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # writes beyond 100 bytes fail, as on a full disk
    try:
        with pytest.raises(UserError, match="File too large; free disk space"):
            hub.emit(make_record(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    hub.close("failed", {})
    assert status_of(tmp_path)["status"] == "failed"


def test_record_after_close_is_an_error(tmp_path: Path, make_record: Records, make_config: Configs) -> None:
    hub = open_hub(tmp_path, make_config())
    hub.close("finished", {})
    with pytest.raises(ValueError, match="before close"):
        hub.emit(make_record(1))


def test_console_lines_say_what_a_step_did(tmp_path: Path, make_record: Records, make_config: Configs) -> None:
    text = io.StringIO()
    console = Console(file=text, width=60, soft_wrap=True, highlight=False)
    hub = open_hub(tmp_path, make_config(), view=ConsoleSink(KINDS, warmup_steps=20, console=console))
    for step in range(1, 4):
        hub.emit(make_record(step, Phase.WARM_START))
    hub.emit(make_record(4, accuracy=0.385))
    hub.close("finished", {})
    lines = text.getvalue().splitlines()
    assert any(line.startswith("warm start 2 | loss 0.6667") for line in lines)
    assert not any(line.startswith("warm start 3 |") for line in lines)
    [step_line] = [line for line in lines if line.startswith("step")]
    for part in ("v4", "reward -0.10 -0.10 -0.10 / ", "solve rate 40 40 40 %", "valid 90 90 90 %", "buffers 36 36 36"):
        assert part in step_line
    for part in ("zero-std 30%", "mismatch 1.2e-06", "4,950 tokens/s", "held-out 38.5 % [32-46]"):
        assert part in step_line
    assert any("1.01 s: solve 0.50 · update 0.30 · propose 0.20 · unattributed 1.0 %" in line for line in lines)
