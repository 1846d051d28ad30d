"""`azr eval` finds the model behind what it is given."""

from pathlib import Path

import pytest

from cluster.eval_model import find_source, with_room
from cluster.run_directory import config_text
from configs.errors import ConfigError, UserError
from configs.loader import load_config


def checkpoint(run: Path, step: int) -> Path:
    model = run / "checkpoints" / f"step-{step:06d}" / "model"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    return model


def test_a_run_a_checkpoint_and_a_model_folder_lead_to_the_model_and_its_run_s_config(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        config_text(load_config("smoke", ["solver.max_tokens=17", "model.prompt_format=plain"]))
    )
    checkpoint(tmp_path, 2)
    newest = checkpoint(tmp_path, 10)
    for given in (tmp_path, newest.parent, newest):
        source = find_source(str(given), "transformers")
        assert source.model == str(newest)
        assert source.config.solver.max_tokens == 17
        assert source.config.generators.engine == "transformers"
        assert source.config.model.prompt_format == "plain"
    assert find_source(str(tmp_path), "vllm", "chat").config.model.prompt_format == "chat"


def test_a_hub_name_is_asked_by_the_default_config() -> None:
    source = find_source("Qwen/Qwen2-0.5B-Instruct", "vllm")
    assert source.model == source.config.model.name_or_path == "Qwen/Qwen2-0.5B-Instruct"


def test_a_run_without_a_checkpoint_and_a_stray_folder_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(UserError, match="no checkpoint yet"):
        find_source(str(tmp_path), "transformers")
    (tmp_path / "stray").mkdir()
    with pytest.raises(UserError, match=r"neither checkpoints nor config\.json"):
        find_source(str(tmp_path / "stray"), "transformers")


def test_an_unknown_engine_or_prompt_format_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="--engine must be transformers or vllm, got vlm"):
        find_source("x", "vlm")
    with pytest.raises(ConfigError, match="--prompt-format must be auto, chat or plain, got chatty"):
        find_source("x", "vllm", "chatty")


def test_there_is_room_for_the_longest_question_and_never_less_than_configured() -> None:
    config = load_config("smoke")
    configured = config.generators.max_model_len
    assert with_room(config, 1).generators.max_model_len == configured
    assert with_room(config, configured + 10).generators.max_model_len > configured + 10
    assert with_room(config, 10**6).generators.max_model_len == 4096
