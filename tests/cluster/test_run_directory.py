"""A run directory is made once, resumed by the same command, and never overwritten by another run."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster import run_directory
from cluster.run_directory import MAY_CHANGE, base_folder, config_text, open_run, run_path
from configs.errors import UserError
from configs.loader import load_config
from configs.schema import RunConfig
from telemetry.status import RunStatus, write_status

ConfigMaker = Callable[..., RunConfig]


def refusal(config: RunConfig) -> str:
    with pytest.raises(UserError) as caught, open_run(config, ["azr"]):
        pass
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def checkpoint(run_dir: Path, step: int, state: str) -> Path:
    folder = run_dir / "checkpoints" / f"step-{step:06d}"
    folder.mkdir(parents=True)
    (folder / "state.json").write_text(state)
    return folder


def test_a_new_run_writes_its_resolved_config_and_environment(config_of: ConfigMaker) -> None:
    config = config_of("learner.lr=1e-4")
    with open_run(config, ["azr", "train", "smoke"]) as run:
        assert not run.resumed
        assert (run.newest_checkpoint, run.steps_done, run.global_step, run.finished) == (None, 0, None, False)
        assert (run.path / "lock").exists()
    assert not (run.path / "lock").exists()
    assert load_config(run.path / "config.yaml") == config
    environment = json.loads((run.path / "environment.json").read_text())
    assert environment["argv"] == ["azr", "train", "smoke"]
    assert environment["packages"]["ray"]
    assert len(environment["wandb_run_id"]) == 8


def test_the_same_command_resumes_with_the_same_wandb_run(config_of: ConfigMaker) -> None:
    with open_run(config_of(), ["first"]) as first:
        pass
    with open_run(config_of(), ["second"]) as second:
        assert second.resumed
    assert second.wandb_run_id == first.wandb_run_id
    starts = json.loads((second.path / "environment.json").read_text())["starts"]
    assert [start["argv"] for start in starts] == [["first"], ["second"]]


def test_another_configuration_is_refused_with_the_keys_and_nothing_changes(config_of: ConfigMaker) -> None:
    with open_run(config_of(), ["azr"]) as run:
        pass
    before = {file.name: file.read_bytes() for file in run.path.iterdir()}
    message = refusal(config_of("learner.lr=1e-4", "solver.attempts=5"))
    assert f"learner.lr: {config_of().learner.lr} -> 0.0001" in message
    assert f"solver.attempts: {config_of().solver.attempts} -> 5" in message
    assert "choose another run.name" in message
    assert {file.name: file.read_bytes() for file in run.path.iterdir()} == before


@pytest.mark.parametrize(
    "override",
    [
        "run.steps=9",
        "run.notes=longer",
        "generators.count=2",
        "verifiers.count=3",
        "cluster.address=local",
        "telemetry.table_rows=4",
    ],
)
def test_what_may_change_changes(config_of: ConfigMaker, override: str) -> None:
    with open_run(config_of(), ["azr"]):
        pass
    with open_run(config_of(override), ["azr"]) as run:
        assert run.resumed
    assert load_config(run.path / "config.yaml") == config_of(override)


def test_only_what_does_not_alter_learning_may_change() -> None:
    assert not [key for key in MAY_CHANGE if key.startswith(("learner", "solver", "proposer", "reward", "family", "seed"))]


def test_the_newest_checkpoint_gives_steps_and_clock(config_of: ConfigMaker) -> None:
    with open_run(config_of(), ["azr"]) as run:
        checkpoint(run.path, 50, '{"global_step": 150}')
        checkpoint(run.path, 100, '{"global_step": 200}')
        assert (run.steps_done, run.global_step) == (100, 200)


@pytest.mark.parametrize("state", ["", '{"global_step": ', "[]", "{}", '{"global_step": "x"}'])
def test_a_corrupt_checkpoint_state_is_one_line_with_file_and_remedy(config_of: ConfigMaker, state: str) -> None:
    with open_run(config_of(), ["azr"]) as run:
        folder = checkpoint(run.path, 2, state)
        with pytest.raises(UserError) as caught:
            _ = run.global_step
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert str(folder / "state.json") in message
    assert f"delete {folder}" in message


@pytest.mark.parametrize("text", ["", "run: [", "- 1", "nonsense: 1\n", "\x00"])
def test_a_corrupt_config_is_one_line_and_is_not_overwritten(config_of: ConfigMaker, text: str) -> None:
    config = config_of()
    path = run_path(config)
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(text)
    assert "config.yaml" in refusal(config)
    assert (path / "config.yaml").read_text() == text


@pytest.mark.parametrize("name", ["environment.json", "status.json"])
def test_corrupt_metadata_is_one_line_with_file_and_remedy(config_of: ConfigMaker, name: str) -> None:
    with open_run(config_of(), ["azr"]) as run:
        pass
    (run.path / name).write_text("{")
    with pytest.raises(UserError, match="delete it") as caught, open_run(config_of(), ["azr"]) as again:
        assert again.finished
    assert name in str(caught.value)


def test_a_folder_that_is_no_run_is_left_alone(config_of: ConfigMaker) -> None:
    path = run_path(config_of())
    path.mkdir(parents=True)
    (path / "thesis.tex").write_text("precious")
    assert "thesis.tex" in refusal(config_of())
    assert [file.name for file in path.iterdir()] == ["thesis.tex"]


def test_a_root_that_cannot_be_written_is_one_line(config_of: ConfigMaker, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "run.root" in refusal(config_of(f"run.root={tmp_path / 'file'}"))


def test_a_nearly_full_disk_is_refused_before_anything_is_written(
    config_of: ConfigMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_directory, "MIN_FREE_BYTES", 2**60)
    message = refusal(config_of())
    assert "MiB free" in message
    assert list(run_path(config_of()).iterdir()) == []


def test_the_config_text_reads_back_as_the_same_run(config_of: ConfigMaker, tmp_path: Path) -> None:
    config = config_of("learner.lr=1e-7", "run.notes='yes: no'", "family.kinds=[induction]")
    file = tmp_path / "again.yaml"
    file.write_text(config_text(config))
    assert load_config(file) == config


def test_a_job_does_not_write_into_the_copy_that_ray_deletes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "session" / "runtime_resources" / "working_dir_files" / "_ray_pkg_1"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AZR_PROJECT", str(tmp_path))
    assert base_folder() == tmp_path
    monkeypatch.setenv("AZR_PROJECT", str(tmp_path / "not-on-this-machine"))
    assert base_folder() == tmp_path / "home" / "absolute-zero-ray"
    monkeypatch.chdir(tmp_path)
    assert base_folder() == tmp_path


def test_a_run_that_ended_by_its_tokens_is_finished_before_its_steps(config_of: ConfigMaker) -> None:
    with open_run(config_of("run.steps=100", "run.token_budget=1000"), ["azr"]) as run:
        write_status(run.path, RunStatus(status="finished"))
        assert not run.finished
        folder = checkpoint(run.path, 7, json.dumps({"global_step": 9, "tokens": 999}))
        assert not run.finished
        (folder / "state.json").write_text(json.dumps({"global_step": 9, "tokens": 1000}))
        assert run.finished
