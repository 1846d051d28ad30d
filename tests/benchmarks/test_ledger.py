"""The step-time ledger on numbers made by hand, and on a short run that is real in every part."""

import json
from pathlib import Path

import pytest

from benchmarks.ledger import account, main, play, read_steps, text
from configs.errors import UserError

STEPS = [
    (1, {"time/step": 10.0, "time/solve": 6.0, "time/update": 3.5, "time/unattributed": 0.05, "reward": 1.0}),
    (2, {"time/step": 30.0, "time/solve": 20.0, "time/update": 6.0, "time/telemetry": 3.0, "time/unattributed": 1 / 30}),
]


def write(folder: Path, lines: list[dict[str, object]]) -> Path:
    (folder / "telemetry").mkdir(parents=True)
    whole = [{"global_step": number, "version": 0, **line} for number, line in enumerate(lines)]
    (folder / "telemetry" / "steps.jsonl").write_text("".join(json.dumps(line) + "\n" for line in whole))
    return folder


def test_shares_are_of_all_time_and_with_the_residual_they_are_the_whole() -> None:
    found = account(STEPS)
    assert found["shares"] == {"solve": 26 / 40, "update": 9.5 / 40, "telemetry": 3 / 40}
    assert list(found["shares"]) == ["solve", "update", "telemetry"]
    assert found["residual"] == pytest.approx(1.5 / 40)
    assert "100.00% of 2 steps" in text(found)


def test_the_residual_of_a_step_is_not_diluted_by_longer_steps() -> None:
    found = account(STEPS)
    assert found["mean_residual"] == pytest.approx((0.05 + 1 / 30) / 2, abs=1e-4)
    assert (found["largest_residual"], found["largest_residual_step"]) == (0.05, 1)
    assert found["mean_telemetry"] == pytest.approx((0 + 0.1) / 2)


def test_what_a_run_says_of_itself_is_not_believed() -> None:
    assert account(STEPS)["largest_imbalance"] == 0
    hidden = [(1, {**STEPS[0][1], "time/unattributed": 0.01})]
    found = account(hidden)
    assert found["largest_residual"] == 0.05
    assert found["largest_imbalance"] == pytest.approx(0.04)


def test_stages_that_overlap_are_a_negative_residual_and_an_imbalance() -> None:
    found = account([(3, {"time/step": 10.0, "time/solve": 8.0, "time/update": 4.0, "time/unattributed": 0.0})])
    assert found["largest_residual"] == -0.2
    assert found["mean_residual"] == 0.2
    assert found["largest_imbalance"] == pytest.approx(0.2)


def test_only_self_play_steps_count_and_a_run_without_any_is_one_line(tmp_path: Path) -> None:
    scalars = {"time/step": 1.0}
    before: list[dict[str, object]] = [
        {"phase": "warm_start", "step": 3, "scalars": {}},
        {"phase": "self_play", "step": 0, "scalars": scalars},
    ]
    played = write(tmp_path / "played", [*before, {"phase": "self_play", "step": 1, "scalars": scalars}])
    assert read_steps(played) == [(1, scalars)]
    for run in (write(tmp_path / "begun", before), tmp_path / "none"):
        with pytest.raises(UserError, match=rf"^{run} has no self-play steps; --run must name a run directory"):
            read_steps(run)


def test_the_command_reads_a_run_and_prints_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write(tmp_path / "r", [{"phase": "self_play", "step": step, "scalars": told} for step, told in STEPS])
    main(["--json", "--run", str(run)])
    line = json.loads(capsys.readouterr().out)
    assert (line["num_steps"], line["run"]) == (2, str(run))
    with pytest.raises(SystemExit, match=r"^error: .* has no self-play steps"):
        main(["--json", "--run", str(tmp_path)])


@pytest.mark.slow
def test_the_parts_of_a_short_real_run_are_the_whole(tmp_path: Path) -> None:
    small = ("generators.engine=transformers", "tasks_per_kind=2", "telemetry.wandb=disabled", "model.stand_in.warmup_steps=2")
    found = account(read_steps(play(tmp_path, 2, 0, small)))
    assert found["num_steps"] == 2
    assert {"propose", "solve", "update", "publish", "telemetry"} <= set(found["shares"])
    assert found["largest_imbalance"] < 1e-6
    assert 0 <= found["mean_residual"] < 0.2
