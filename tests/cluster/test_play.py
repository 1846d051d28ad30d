"""The further suites of a run: read by name or as files, and refused where the run cannot judge them."""

from pathlib import Path

import pytest

from cluster.play import _files
from configs.errors import ConfigError
from configs.loader import load_config
from configs.schema import RunConfig
from tasks.family import load_family
from tasks.records import Task

ROW = '{"code": "def f(n):\\n    return n + 1", "input": "1", "output": "2", "id": "one"}\n'
WRONG = ROW.replace('"output": "2"', '"output": "3"')


def config_with(data: dict[str, str], *overrides: str) -> RunConfig:
    return load_config("smoke", [*overrides, f"evaluation.data={data}"])


def files_of(config: RunConfig) -> dict[str, list[object]]:
    family = load_family(config.family.name, config.family.options)
    return {name: [item.judged_by for item in items] for name, items in _files(config, family).items()}


def test_a_file_that_is_not_there_is_said_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.jsonl").write_text('{"prompt": "1 + 1 = ", "answer": "2"}\n')
    found = files_of(config_with({"mine": f"{tmp_path}/mine.jsonl", "other": f"{tmp_path}/other.jsonl"}))
    assert list(found) == ["mine"]
    assert "evaluation.data.other is left out" in capsys.readouterr().out


def test_a_data_set_of_tasks_is_read_by_its_name_for_the_run_s_own_verifier(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.jsonl").write_text(ROW + WRONG)
    found = files_of(config_with({"cruxeval-o": f"{tmp_path}/rows.jsonl"}, "family.name=python"))
    assert [isinstance(judge, Task) for judge in found["cruxeval-o"]] == [True]
    assert "evaluation.data.cruxeval-o: 1 rows are left out (recorded_output)" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "part"), [("cruxeval-i", "family.name=python, got arithmetic"), ("mbpp", "azr eval RUN")])
def test_a_data_set_that_the_run_cannot_judge_is_refused(tmp_path: Path, name: str, part: str) -> None:
    (tmp_path / "rows.jsonl").write_text(ROW)
    with pytest.raises(ConfigError, match=part) as told:
        files_of(config_with({name: f"{tmp_path}/rows.jsonl"}))
    assert f"--suite {name}" in str(told.value)
