import io
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from configs.play_sections import ModelSection
from configs.schema import RunConfig
from telemetry.hub import TelemetryHub
from telemetry.records import StepRecord
from telemetry.summary import final_summary

Records = Callable[..., StepRecord]
Configs = Callable[..., RunConfig]


def shown(run_dir: Path, config: RunConfig) -> str:
    text = io.StringIO()
    Console(file=text, width=200).print(final_summary(run_dir, config))
    return text.getvalue()


def test_summary_says_what_was_reached_and_where_it_lies(tmp_path: Path, make_record: Records, make_config: Configs) -> None:
    config = make_config()
    hub = TelemetryHub(tmp_path, config, resume_global_step=None, wandb_run_id="x", console=False)
    hub.emit(make_record(1, accuracy=0.385))
    hub.emit(make_record(34, accuracy=0.52))
    hub.close("finished", {})
    text = shown(tmp_path, config)
    for part in (
        "38.5 % [31.5, 45.5]",
        "52.0 % [45.0, 59.0]",
        "+13.5",
        "x 2.00",
        "170,000",
        "azr report",
        "stands in for pre-training",
    ):
        assert part in text


def test_summary_of_a_pretrained_model_does_not_speak_of_a_stand_in(tmp_path: Path, make_config: Configs) -> None:
    config = make_config().model_copy(update={"model": ModelSection(name_or_path="Qwen/Qwen2-0.5B-Instruct")})
    text = shown(tmp_path, config)
    assert "stand-in" not in text
    assert "held-out accuracy: not measured" in text
