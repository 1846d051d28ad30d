from pathlib import Path

import pytest

from cluster import cli


def test_the_model_is_made_once_and_found_the_second_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overrides = [f"model.stand_in.cache={tmp_path}", "model.stand_in.warmup_steps=2", "model.stand_in.batch_size=2"]
    assert cli.run(["warm-start", "smoke", *overrides]) == 0
    [model] = tmp_path.iterdir()
    assert capsys.readouterr().out.splitlines()[-1] == f"model: {model}"
    made = (model / "model.safetensors").stat().st_mtime_ns
    assert cli.run(["warm-start", "smoke", *overrides]) == 0
    assert (model / "model.safetensors").stat().st_mtime_ns == made


def test_a_model_that_exists_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["warm-start", "smoke", "model.name_or_path=some/model", f"model.stand_in.cache={tmp_path}"]) == 0
    assert "there is nothing to make" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
