import re
from collections.abc import Callable
from pathlib import Path

import pytest

from configs.errors import UserError
from configs.schema import RunConfig
from telemetry.hub import TelemetryHub
from telemetry.jsonl import folder
from telemetry.records import Phase, StepRecord
from telemetry.report import write_report

Records = Callable[..., StepRecord]
Configs = Callable[..., RunConfig]


def make_run(run_dir: Path, config: RunConfig, records: list[StepRecord]) -> TelemetryHub:
    hub = TelemetryHub(run_dir, config, resume_global_step=None, wandb_run_id="x", console=False)
    for record in records:
        hub.emit(record)
    return hub


def body_of(page: str) -> str:
    return page[page.index("<body>") :]


def test_report_has_every_curve_and_opens_without_a_network(tmp_path: Path, make_record: Records, make_config: Configs) -> None:
    records = [make_record(step, Phase.WARM_START) for step in range(3)]
    records += [make_record(step, accuracy=0.4 if step % 3 == 0 else None) for step in range(3, 10)]
    (tmp_path / "config.yaml").write_text("seed: 3\nmodel:\n  name_or_path: stand-in\n")
    make_run(tmp_path, make_config(), records).close("finished", {})
    page = write_report(tmp_path).read_text()
    body = body_of(page)
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=", page), "nothing may be loaded from elsewhere"
    for title in (
        "held-out accuracy",
        "reward",
        "solve rate and learnability",
        "refused proposals by reason",
        "tasks in the buffers",
    ):
        assert title in body
    for title in ("where a step", "sampler against learner", "policy entropy", "gradient norm", "learning rate", "stand-in"):
        assert title in body
    assert "warm start (stands in for pre-training)" in body
    assert "40.0 % [33.0, 47.0]" in body
    assert "seed: 3" in body


def test_model_text_cannot_become_part_of_the_page(tmp_path: Path, make_record: Records, make_config: Configs) -> None:
    (tmp_path / "config.yaml").write_text("run:\n  notes: '</pre><script>alert(2)</script>'\n")
    make_run(tmp_path, make_config(), [make_record(1)]).close("finished", {})
    body = body_of(write_report(tmp_path).read_text())
    assert "<script>alert(" not in body
    assert "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;" in body
    assert "{{ 7 * 7 }}" in body, "template syntax in model text stays text"
    assert "\x00" not in body
    assert "\x1b" not in body


def test_suite_with_a_hostile_name_stays_inside_its_script(tmp_path: Path, make_config: Configs) -> None:
    scalars = {"eval/</script><script>alert(3)</script>/accuracy": 0.5}
    make_run(tmp_path, make_config(), [StepRecord(global_step=1, phase=Phase.SELF_PLAY, step=1, version=1, scalars=scalars)])
    assert "<script>alert(3)" not in body_of(write_report(tmp_path).read_text())


def test_run_without_steps_gets_a_clear_small_page(tmp_path: Path, make_config: Configs) -> None:
    make_run(tmp_path, make_config(), [])
    page = write_report(tmp_path).read_text()
    assert "has not finished its first step" in page
    assert len(page) < 20_000


def test_running_and_torn_runs_are_reported(tmp_path: Path, make_record: Records, make_config: Configs) -> None:
    make_run(tmp_path, make_config(), [make_record(1), make_record(2)])
    steps = folder(tmp_path) / "steps.jsonl"
    steps.write_bytes(steps.read_bytes()[:-20])
    assert "This run is going on" in write_report(tmp_path).read_text()


def test_bare_directory_gets_a_page_too(tmp_path: Path) -> None:
    page = write_report(tmp_path).read_text()
    assert "not started" in page
    assert "no config.yaml" in page


def test_missing_or_damaged_run_is_one_line_for_the_user(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must be a run directory"):
        write_report(tmp_path / "nowhere")
    folder(tmp_path).mkdir()
    (folder(tmp_path) / "steps.jsonl").write_text("x\n{}\n")
    with pytest.raises(UserError, match=r"cannot be made: .*steps\.jsonl:1"):
        write_report(tmp_path)
