"""`azr eval` finds the model behind what it is given, and says what it cannot ask."""

from pathlib import Path

import pytest

from cluster.evaluate import choose_suites, find_source
from cluster.run_directory import config_text
from configs.errors import ConfigError, UserError
from configs.loader import load_config
from tasks.family import load_family
from verifier.verifier import FamilyVerifier


def checkpoint(run: Path, step: int) -> Path:
    model = run / "checkpoints" / f"step-{step:06d}" / "model"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    return model


def test_a_run_a_checkpoint_and_a_model_folder_lead_to_the_model_and_its_run_s_config(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(config_text(load_config("smoke", ["solver.max_tokens=17"])))
    checkpoint(tmp_path, 2)
    newest = checkpoint(tmp_path, 10)
    for given in (tmp_path, newest.parent, newest):
        source = find_source(str(given), "transformers")
        assert source.model == str(newest)
        assert source.config.solver.max_tokens == 17
        assert source.config.generators.engine == "transformers"


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


def test_suites_are_chosen_by_name_cut_by_limit_and_joined_by_files(tmp_path: Path) -> None:
    config = load_config("smoke")
    family = load_family(config.family.name, config.family.options)
    verifier = FamilyVerifier(config.family.name, config.family.options, config.verifiers)
    file = tmp_path / "mine.jsonl"
    file.write_text('{"prompt": "1 + 1 = ", "answer": "2"}\n' * 3)
    assert {name: len(items) for name, items in choose_suites(config, family, verifier, ["deduction"], [file], 2).items()} == {
        "deduction": 2,
        "mine": 2,
    }
    file.write_text('{"prompt": "What is 1 plus 1?", "answer": "2"}\n')
    for verbatim, prompt in ((True, "What is 1 plus 1?"), (False, "Calculate: 1 + 1 = ")):
        [item] = choose_suites(config, family, verifier, [], [file], 0, verbatim=verbatim)["mine"]
        assert item.prompt == prompt
    assert "deduction" not in choose_suites(config, family, verifier, [], [file], 0)
    assert "induction" in choose_suites(config, family, verifier, [], [], 1)
    with pytest.raises(ConfigError, match="did you mean deduction"):
        choose_suites(config, family, verifier, ["deducton"], [], 0)
