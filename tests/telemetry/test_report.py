import base64
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from configs.errors import UserError
from configs.schema import RunConfig
from telemetry.charts import all_figures, lines
from telemetry.history import read_history
from telemetry.hub import TelemetryHub
from telemetry.jsonl import folder
from telemetry.records import Phase, StepRecord
from telemetry.report import write_report
from tests.telemetry.played import KINDS, write_played

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
    assert "&lt;/pre&gt;&lt;script&gt;alert(2)&lt;/script&gt;" in body
    assert "alert('1')" not in body, "what models wrote is in the packed data alone"


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


def test_the_page_allows_exactly_the_scripts_that_stand_in_it(
    tmp_path: Path, make_record: Records, make_config: Configs
) -> None:
    make_run(tmp_path, make_config(), [make_record(1)]).close("finished", {})
    page = write_report(tmp_path).read_text()
    scripts = re.findall(r"<script>(.*?)</script>\n", page, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert len(scripts) == 4  # plotly, once, and the page's own
    assert re.findall(r"'sha256-([^']+)'", page) == hashes
    assert "default-src 'none'" in page


def test_alarms_are_listed_with_what_to_do(tmp_path: Path, make_record: Records, make_config: Configs) -> None:
    make_run(tmp_path, make_config(), [make_record(1)]).close("finished", {})
    assert "what to do" not in body_of(write_report(tmp_path).read_text())
    alarm = {"step": 1, "name": "zero_std", "severity": "warn", "value": 0.31, "threshold": 0.25, "readings": 5}
    lines = [json.dumps({"global_step": step, **alarm, "remedy": f"raise <b> {step}"}) for step in (4, 9)]
    (tmp_path / "alarms.jsonl").write_text("\n".join([*lines, ""]))
    row = re.search(r"<tr>\s*<td>zero_std</td>.*?</tr>", body_of(write_report(tmp_path).read_text()), re.DOTALL)
    assert row
    assert re.findall(r"<td[^>]*>(.*?)</td>", row[0])[2:] == ["2", "4 – 9", "0.31", "0.25", "raise &lt;b&gt; 9"]


def test_the_leaderboard_ranks_the_runs_beside_it_and_marks_this_one(
    tmp_path: Path, make_record: Records, make_config: Configs
) -> None:
    for name, accuracy in (("low", 0.2), ("mine", 0.5), ("high", 0.8), ("unmeasured", None)):
        make_run(tmp_path / name, make_config(), [make_record(1, accuracy=accuracy)]).close("finished", {})
    (tmp_path / "no-run").mkdir()
    body = body_of(write_report(tmp_path / "mine").read_text())
    board = body[body.index("<h2>Leaderboard") : body.index("<h2>Curves")]
    rows = re.findall(r"<tr( class=marked)?>\s*<td>(\w+)</td><td class=number>(\d+)</td>", board)
    assert rows == [("", "high", "1"), (" class=marked", "mine", "2"), ("", "low", "3")]


def test_learnability_is_a_histogram_over_time_per_kind(tmp_path: Path, make_config: Configs) -> None:
    write_played(tmp_path, steps=3, tasks=2, attempts=2)
    titles = [figure.layout.title.text for figure in all_figures(read_history(tmp_path))]
    assert [title for title in titles if "by solve rate" in title] == [f"new {kind} tasks by solve rate" for kind in KINDS]


def test_lines_are_named_by_what_they_do_not_share(tmp_path: Path) -> None:
    write_played(tmp_path, steps=3, tasks=2, attempts=2)
    reward, single = (
        lines(read_history(tmp_path), "", "", names)
        for names in (["reward/deduction/propose", "reward/abduction/propose"], ["valid/deduction"])
    )
    assert reward
    assert single
    assert [trace.name for trace in reward.data] == ["deduction/propose", "abduction/propose"]
    assert [trace.name for trace in single.data] == ["valid/deduction"]
