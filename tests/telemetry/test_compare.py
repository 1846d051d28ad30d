import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from configs.errors import UserError
from configs.schema import RunConfig
from telemetry.compare import Comparison, Figure, compare
from telemetry.compare_views import comparison_json, comparison_markdown, comparison_tables
from telemetry.hub import TelemetryHub
from telemetry.notes import add_note
from telemetry.records import EvalRow, Phase, StepRecord

Configs = Callable[..., RunConfig]
FIRST = {0: False, 1: False, 2: True, 3: True}


def evaluation(global_step: int, right: dict[int, bool], tokens: float, buffer: float) -> StepRecord:
    rows = tuple(
        EvalRow(
            step=global_step, version=global_step, kind="deduction", role="solve", suite="deduction", item=item,
            prompt=f"{item} + 1 =", text="2", expected="2", right=is_right,
        )
        for item, is_right in right.items()
    )  # fmt: skip
    accuracy = sum(right.values()) / len(right)
    scalars = {"eval/deduction/accuracy": accuracy, "eval/deduction/low": accuracy - 0.2, "eval/deduction/high": accuracy + 0.1}
    return StepRecord(
        global_step=global_step, phase=Phase.SELF_PLAY, step=global_step, version=global_step, evals=rows,
        scalars={**scalars, "tokens/total": tokens, "buffer/deduction": buffer},
    )  # fmt: skip


def make_run(run_dir: Path, config: RunConfig, last: dict[int, bool], tokens: float) -> Path:
    hub = TelemetryHub(run_dir, config, resume_global_step=None, wandb_run_id="x", console=False)
    hub.emit(evaluation(1, FIRST, 0.0, 8.0))
    hub.emit(evaluation(2, last, tokens, 10.0 + tokens / 100))
    hub.close("finished", {})
    (run_dir / "config.yaml").write_text(json.dumps(config.model_dump(mode="json")))
    return run_dir


@pytest.fixture
def made(tmp_path: Path, make_config: Configs) -> Comparison:
    config = make_config()
    other = config.model_copy(update={"learner": config.learner.model_copy(update={"lr": 1e-4})})
    a = make_run(tmp_path / "a-s3", config, {0: False, 1: True, 2: True, 3: False}, 1000.0)
    b = make_run(tmp_path / "b-s3", other, {3: True, 2: True, 1: True, 0: False}, 1500.0)
    add_note(b, "[x] a smaller | lr")
    return compare(a, b)


def figure(made: Comparison, name: str) -> Figure:
    [found] = [one for one in made.figures if one.name == name]
    return found


def test_changes_are_b_minus_a_with_intervals(made: Comparison) -> None:
    last = figure(made, "deduction last")
    assert (last.a, last.b, last.change) == (0.5, 0.75, 0.25)
    assert last.a_interval == pytest.approx((0.3, 0.6))
    assert last.change_interval is not None
    low, high = last.change_interval  # one of four items changed: 0 to 3 of them in a resample
    assert (low, high) == pytest.approx((0.0, 0.75))
    assert figure(made, "deduction first").change == 0.0
    assert figure(made, "tokens").change == 500.0
    assert figure(made, "buffer deduction").change == 5.0
    assert figure(made, "steps").change == 0.0


def test_only_keys_that_differ_are_told(made: Comparison) -> None:
    assert made.config == {"learner.lr": (5e-4, 1e-4)}


def test_markdown_has_signs_and_the_json_has_the_figures(made: Comparison) -> None:
    text = comparison_markdown(made)
    assert "| deduction last | 50.0 % [30.0, 60.0] | 75.0 % [55.0, 85.0] | +25.0 points [+0.0, +75.0] |" in text
    assert "| tokens | 1,000 | 1,500 | +500 (+50 %) |" in text
    assert "| learner.lr | 0.0005 | 0.0001 |" in text
    assert "| B | [x] a smaller \\| lr |" in text
    plain = json.loads(comparison_json(made))
    assert "\n" not in comparison_json(made)
    assert plain["runs"] == {"a": "a-s3", "b": "b-s3"}
    assert plain["config"] == {"learner.lr": {"a": 5e-4, "b": 1e-4}}
    assert {one["name"]: one["change"] for one in plain["figures"]}["deduction last"] == 0.25
    screen = io.StringIO()
    Console(file=screen, width=160).print(comparison_tables(made))
    assert "+25.0 points" in screen.getvalue()


def test_a_suite_that_one_run_lacks_has_no_change(tmp_path: Path, make_config: Configs, made: Comparison) -> None:
    hub = TelemetryHub(tmp_path / "c-s3", make_config(), resume_global_step=None, wandb_run_id="x", console=False)
    hub.close("interrupted", {})
    (tmp_path / "c-s3" / "config.yaml").write_text("seed: 0\n")
    last = figure(compare(tmp_path / "a-s3", tmp_path / "c-s3"), "deduction last")
    assert (last.a, last.b, last.change, last.change_interval) == (0.5, None, None, None)


def test_other_items_give_no_paired_interval(tmp_path: Path, make_config: Configs, made: Comparison) -> None:
    make_run(tmp_path / "d-s3", make_config(), {0: True, 1: True, 2: True, 3: True}, 1.0)
    file = tmp_path / "d-s3" / "telemetry" / "evals.jsonl"
    file.write_text(file.read_text().replace("0 + 1 =", "9 + 9 ="))
    last = figure(compare(tmp_path / "a-s3", tmp_path / "d-s3"), "deduction last")
    assert last.change == 0.5
    assert last.change_interval is None


def test_a_folder_that_is_no_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a run directory"):
        compare(tmp_path, tmp_path)
