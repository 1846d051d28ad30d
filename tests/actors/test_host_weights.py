"""A publication that does not fill the model exactly is refused."""

import pytest

from actors.host_weights import assert_names_fit

PACKED = {"qkv_proj": ["q_proj", "k_proj", "v_proj"]}
PARAMETERS = ["embed.weight", "layers.0.attn.qkv_proj.weight", "layers.0.norm.weight"]
NAMES = ["embed.weight", *(f"layers.0.attn.{part}.weight" for part in PACKED["qkv_proj"]), "layers.0.norm.weight"]


def test_the_parts_of_a_fused_parameter_fill_it() -> None:
    assert_names_fit(NAMES, PARAMETERS, PACKED)


def test_a_missing_part_of_a_fused_parameter_is_named() -> None:
    with pytest.raises(RuntimeError, match=r"1 missing \['layers\.0\.attn\.k_proj\.weight'\]"):
        assert_names_fit([name for name in NAMES if "k_proj" not in name], PARAMETERS, PACKED)


def test_a_name_that_the_model_does_not_have_is_named() -> None:
    with pytest.raises(RuntimeError, match=r"1 unknown \['layers\.1\.norm\.weight'\]"):
        assert_names_fit([*NAMES, "layers.1.norm.weight"], PARAMETERS, PACKED)


def test_a_tied_head_may_be_published_or_left_out() -> None:
    assert_names_fit([*NAMES, "lm_head.weight"], PARAMETERS, PACKED)
