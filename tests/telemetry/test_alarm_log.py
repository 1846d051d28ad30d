"""What is left of the alarms in a run's files, also after a kill and a resume."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from configs.errors import UserError
from configs.schema import RunConfig
from telemetry.alarm_log import ALARMS
from telemetry.hub import TelemetryHub
from telemetry.jsonl import folder, read_lines
from telemetry.records import StepRecord

Records = Callable[..., StepRecord]
Configs = Callable[..., RunConfig]
BAD = range(14, 26)  # steps without a signal


def alarms_of(run_dir: Path) -> list[dict[str, Any]]:
    return list(read_lines(run_dir / ALARMS))


def scalars_of(run_dir: Path, name: str) -> dict[int, float]:
    lines = read_lines(folder(run_dir) / "steps.jsonl")
    return {line["global_step"]: line["scalars"][name] for line in lines if name in line["scalars"]}


def play(run_dir: Path, config: RunConfig, make_record: Records, steps: Sequence[int], resume: int | None = None) -> None:
    """A session that ends like a kill: without a last word."""
    hub = TelemetryHub(run_dir, config, resume_global_step=resume, wandb_run_id="x", console=False)
    for step in steps:
        record = make_record(step)
        share = 0.9 if step in BAD else 0.1
        hub.emit(replace(record, scalars={**record.scalars, "zero_std": share}))


def small(make_config: Configs) -> RunConfig:
    config = make_config()
    alarms = config.telemetry.alarms.model_copy(update={"window": 3})
    return config.model_copy(update={"telemetry": config.telemetry.model_copy(update={"alarms": alarms})})


def test_an_alarm_is_one_line_of_the_file_and_a_scalar_of_every_step(
    tmp_path: Path, make_record: Records, make_config: Configs
) -> None:
    play(tmp_path, small(make_config), make_record, range(1, 40))
    first, second = alarms_of(tmp_path)
    assert set(first) == {"global_step", "step", "name", "severity", "value", "threshold", "readings", "remedy"}
    assert [first["name"], second["name"]] == ["zero_variance", "zero_variance_collapse"]
    assert (first["global_step"], second["global_step"]) == (14, 15)  # means of 0.1 0.1 0.9 and 0.1 0.9 0.9
    values = scalars_of(tmp_path, "alarm/zero_variance")
    assert [step for step, value in values.items() if value] == list(range(14, 30))  # ended by the third good mean
    assert min(values) == 3


@pytest.mark.parametrize("checkpoint", [2, 13, 14, 20, 27, 31])
def test_a_killed_and_resumed_run_has_the_alarms_of_an_uninterrupted_one(
    tmp_path: Path, make_record: Records, make_config: Configs, checkpoint: int
) -> None:
    config = small(make_config)
    play(tmp_path / "whole", config, make_record, range(1, 40))
    play(tmp_path / "killed", config, make_record, range(1, 32))
    play(tmp_path / "killed", config, make_record, range(checkpoint + 1, 40), resume=checkpoint)
    assert (tmp_path / "killed" / ALARMS).read_text() == (tmp_path / "whole" / ALARMS).read_text()
    for name in ("alarm/zero_variance", "alarm/zero_variance_collapse"):
        assert scalars_of(tmp_path / "killed", name) == scalars_of(tmp_path / "whole", name)


def test_a_run_that_begins_anew_forgets_the_alarms_of_the_earlier_one(
    tmp_path: Path, make_record: Records, make_config: Configs
) -> None:
    play(tmp_path, small(make_config), make_record, range(1, 20))
    play(tmp_path, small(make_config), make_record, range(1, 5))
    assert alarms_of(tmp_path) == []


def test_a_line_torn_by_a_kill_is_dropped_and_a_damaged_one_is_named(
    tmp_path: Path, make_record: Records, make_config: Configs
) -> None:
    config = small(make_config)
    play(tmp_path, config, make_record, range(1, 20))
    path = tmp_path / ALARMS
    whole = path.read_text()
    path.write_text(whole + '{"global_st')
    play(tmp_path, config, make_record, [20], resume=19)
    assert path.read_text() == whole
    path.write_text("oops\n" + whole)
    with pytest.raises(UserError, match=r"alarms\.jsonl:1 must be a JSON object"):
        play(tmp_path, config, make_record, [21], resume=20)


def test_without_a_console_an_alarm_is_logged(
    tmp_path: Path, make_record: Records, make_config: Configs, caplog: pytest.LogCaptureFixture
) -> None:
    play(tmp_path, small(make_config), make_record, range(1, 15))
    assert [json.loads(line)["name"] for line in (tmp_path / ALARMS).read_text().splitlines()] == ["zero_variance"]
    assert [message for message in caplog.messages if message.startswith("zero_variance is 0.367 (limit 0.25, over 3)")]
