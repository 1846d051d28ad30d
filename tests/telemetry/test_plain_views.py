import io
import json
from collections.abc import Callable
from dataclasses import replace
from math import nan
from pathlib import Path

from configs.schema import RunConfig
from telemetry.hub import TelemetryHub
from telemetry.plain_views import PlainView
from telemetry.records import Phase, StepRecord

Records = Callable[..., StepRecord]
Configs = Callable[..., RunConfig]


def shown(run_dir: Path, config: RunConfig, records: list[StepRecord], *, as_json: bool) -> tuple[str, str]:
    """What is said on stdout and on stderr."""
    out, errors = io.StringIO(), io.StringIO()
    view = PlainView(errors, out if as_json else None)
    hub = TelemetryHub(run_dir, config, resume_global_step=None, wandb_run_id="x", view=view)
    hub.progress("seeding", 1, 4)
    for record in records:
        hub.emit(record)
    hub.close("finished", {})
    return out.getvalue(), errors.getvalue()


def records_without_a_signal(make_record: Records) -> list[StepRecord]:
    steps = [make_record(step) for step in range(2, 16)]
    empty = [replace(step, scalars={**step.scalars, "zero_std": 1.0}) for step in steps]
    return [make_record(1, Phase.WARM_START), *empty]


def test_quiet_shows_alarms_and_nothing_else(tmp_path: Path, make_record: Records, make_config: Configs) -> None:
    out, errors = shown(tmp_path, make_config(), records_without_a_signal(make_record), as_json=False)
    assert out == ""
    lines = errors.splitlines()
    assert all(line.startswith("alarm: step 11: ") for line in lines)
    assert [line.split()[3] for line in lines] == ["zero_variance", "zero_variance_collapse"]


def test_json_is_one_object_per_step_and_alarms_go_to_the_other_stream(
    tmp_path: Path, make_record: Records, make_config: Configs
) -> None:
    records = records_without_a_signal(make_record)
    records.append(replace(make_record(16), scalars={"grad_norm": nan}))
    out, errors = shown(tmp_path, make_config(), records, as_json=True)
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["global_step"] for line in lines] == list(range(1, 17))
    assert lines[0]["phase"] == "warm_start"
    assert lines[11]["scalars"]["alarm/zero_variance"] == 1.0
    assert (lines[-1]["scalars"]["grad_norm"], lines[-1]["non_finite"]) == (None, ["grad_norm"])
    assert out == (tmp_path / "telemetry" / "steps.jsonl").read_text()
    assert "not_finite is 1" in errors


def test_a_warning_is_shown_by_either(tmp_path: Path) -> None:
    errors = io.StringIO()
    PlainView(errors).warn("W&B could not start")
    assert errors.getvalue() == "warning: W&B could not start\n"
