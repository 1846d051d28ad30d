"""Sizes come from config.json where it is at hand, from the name where not, and are unknown otherwise."""

import json
from pathlib import Path

import pytest

from cluster.model_source import count_parameters, model_size
from configs.play_sections import ModelSection

QWEN2_HALF_B: dict[str, object] = {
    "vocab_size": 151936,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}


def test_the_count_of_qwen2_half_b_is_within_a_thousandth_of_its_494_032_768() -> None:
    assert count_parameters(QWEN2_HALF_B) == pytest.approx(494_032_768, rel=1e-3)


def test_a_config_that_lacks_a_size_counts_as_unknown() -> None:
    assert count_parameters({**QWEN2_HALF_B, "hidden_size": None}) is None


def test_a_folder_is_counted_from_its_config(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(QWEN2_HALF_B))
    size = model_size(ModelSection(name_or_path=str(tmp_path)))
    assert size is not None
    assert (round(size.parameters / 1e6), size.basis) == (494, "config.json")


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("nobody/Made-Up-0.5B-Instruct", 0.5e9), ("nobody/made-up-7b", 7e9), ("nobody/x-135M", 135e6), ("nobody/no-size", None)],
)
def test_a_name_that_is_not_here_tells_its_size_or_is_unknown(name: str, parameters: float | None) -> None:
    size = model_size(ModelSection(name_or_path=name))
    assert (size.parameters if size else None) == parameters
