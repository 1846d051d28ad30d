"""Where a run's model lies."""

from pathlib import Path

import pytest

from configs.schema import ModelSection, RunConfig, StandInSection
from selfplay.warm_start import model_path
from tasks.arithmetic.family import ArithmeticFamily


def test_folders_are_absolute_and_hub_names_stay(
    family: ArithmeticFamily, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine").mkdir()
    for given in ("mine", "~/mine"):
        assert model_path(RunConfig(model=ModelSection(name_or_path=given)), family) == str(tmp_path / "mine")
    assert model_path(RunConfig(model=ModelSection(name_or_path="Qwen/Qwen2-0.5B")), family) == "Qwen/Qwen2-0.5B"
    stand_in = RunConfig(model=ModelSection(stand_in=StandInSection(cache="cache")))
    assert Path(model_path(stand_in, family)).parent == tmp_path / "cache"
