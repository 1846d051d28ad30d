import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from configs.errors import UserError
from configs.schema import RunConfig
from telemetry.hub import TelemetryHub
from telemetry.records import Phase, StepRecord
from telemetry.runs import list_runs, runs_json, runs_table

Records = Callable[..., StepRecord]
Configs = Callable[..., RunConfig]


def make_run(run_dir: Path, config: RunConfig, records: list[StepRecord], status: str | None = "finished") -> None:
    hub = TelemetryHub(run_dir, config, resume_global_step=None, wandb_run_id="x", console=False)
    for record in records:
        hub.emit(record)
    if status:
        hub.close(status, {})


def change_status(run_dir: Path, **changes: object) -> None:
    path = run_dir / "status.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_json_has_exactly_the_stable_fields(tmp_path: Path, make_record: Records, make_config: Configs) -> None:
    records = [make_record(1, Phase.WARM_START), make_record(2, accuracy=0.4), make_record(3), make_record(4, accuracy=0.6)]
    make_run(tmp_path / "tiny-cpu-s3", make_config(), records)
    [run] = json.loads(runs_json(list_runs(tmp_path, curve=True)))
    assert run.pop("seconds") > 0
    assert run == {
        "run": "tiny-cpu-s3",
        "config": "tiny-cpu",
        "seed": 3,
        "status": "finished",
        "initial": 0.4,
        "final": 0.6,
        "best": 0.6,
        "tokens": 20000.0,
        "buffers": {kind: {"seed": 34, "final": 36} for kind in ("deduction", "abduction", "induction")},
        "curve": [
            {"step": 2, "version": 2, "accuracy": 0.4, "reward": pytest.approx(-0.3)},
            {"step": 3, "version": 3, "accuracy": None, "reward": pytest.approx(-0.2)},
            {"step": 4, "version": 4, "accuracy": 0.6, "reward": pytest.approx(-0.1)},
        ],
    }
    assert "curve" not in json.loads(runs_json(list_runs(tmp_path)))[0]


def test_newest_run_comes_first(tmp_path: Path, make_config: Configs) -> None:
    for index, name in enumerate(("old-s3", "new-s3", "middle-s3")):
        make_run(tmp_path / name, make_config(), [])
        change_status(tmp_path / name, started_at=1000.0 + (0, 9, 5)[index])
    assert [run.run for run in list_runs(tmp_path)] == ["new-s3", "middle-s3", "old-s3"]


def test_run_whose_process_is_gone_was_interrupted(tmp_path: Path, make_config: Configs) -> None:
    make_run(tmp_path / "a-s3", make_config(), [], status=None)
    assert list_runs(tmp_path)[0].status == "running"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait(30)
    change_status(tmp_path / "a-s3", pid=gone.pid)
    assert list_runs(tmp_path)[0].status == "interrupted"


def test_process_with_the_same_id_but_another_start_is_not_the_run(tmp_path: Path, make_config: Configs) -> None:
    make_run(tmp_path / "a-s3", make_config(), [], status=None)
    change_status(tmp_path / "a-s3", pid_started=1.0)
    assert list_runs(tmp_path)[0].status == "interrupted"


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("status.json", "{", "unreadable: Expecting property name"),
        ("status.json", "[]", "unreadable: status.json must be an object with a status"),
        ("config.yaml", "a: [", "unreadable: while parsing"),
        ("config.yaml", "7", "unreadable: config.yaml must be a mapping"),
        ("notes.txt", "", "unreadable: neither status.json nor config.yaml"),
    ],
)
def test_unreadable_directory_is_listed_with_the_reason(tmp_path: Path, name: str, text: str, reason: str) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / name).write_text(text)
    [run] = list_runs(tmp_path)
    assert run.status.startswith(reason)
    assert json.loads(runs_json([run]))[0]["initial"] is None


def test_run_that_has_only_its_configuration_is_not_started(tmp_path: Path) -> None:
    (tmp_path / "tiny-s5").mkdir()
    (tmp_path / "tiny-s5" / "config.yaml").write_text("seed: 5\n")
    [run] = list_runs(tmp_path)
    assert (run.status, run.seed, run.config) == ("not started", 5, "tiny")


def test_missing_root_is_one_line_for_the_user(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must be an existing folder"):
        list_runs(tmp_path / "nowhere")


def test_table_shows_every_run_with_its_growth(tmp_path: Path, make_record: Records, make_config: Configs) -> None:
    make_run(tmp_path / "a-s3", make_config(), [make_record(1, accuracy=0.4), make_record(5, accuracy=0.55)])
    (tmp_path / "[red]broken").mkdir()
    text = io.StringIO()
    Console(file=text, width=220).print(runs_table(list_runs(tmp_path)))
    assert "55.0 %" in text.getvalue()
    assert "33+4" in text.getvalue()
    assert "[red]broken" in text.getvalue()
