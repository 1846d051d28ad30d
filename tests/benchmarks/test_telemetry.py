"""What telemetry costs: the arithmetic on numbers made by hand, and one real run that W&B's server never answers."""

import socket
from pathlib import Path

import pytest

from benchmarks.telemetry import Played, compare, main, play


def test_the_share_is_of_the_steps_time_and_a_step_counts_as_its_fastest_round_over_the_arm_without_wandb() -> None:
    found = compare(
        {
            "disabled": [Played((4.0, 4.0), (0.0, 0.0), 200.0)],
            "offline": [Played((5.0, 100.0), (0.1, 2.0), 250.0), Played((90.0, 5.0), (1.8, 0.1), 250.0)],
        }
    )
    assert found["offline"] == {"share": 0.02, "step": 1.25, "whole_run": 1.25}
    assert found["disabled"] == {"share": 0.0, "step": 1.0, "whole_run": 1.0}


def test_a_run_without_a_step_that_counts_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--steps", "2"])
    assert "--steps must be over 2, got 2" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_whose_wandb_never_answers_plays_all_its_steps_and_leaves_an_offline_file(tmp_path: Path) -> None:
    small = ("generators.engine=transformers", "tasks_per_kind=2", "model.stand_in.warmup_steps=2")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        played = play("silent", tmp_path, "blocked", 3, f"http://127.0.0.1:{silent.getsockname()[1]}", small)
    assert len(played.step_s) == 1
    assert list((tmp_path / "blocked" / "wandb").glob("offline-run-*/*.wandb"))
