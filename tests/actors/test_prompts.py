"""What goes wrong between text and token ids is an error with a remedy."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, Qwen2Tokenizer

from actors.prompts import PromptCodec, assert_lossless, make_rollout, probe_text
from configs.errors import UserError
from tasks.records import Request


@pytest.fixture(scope="module")
def codec(tiny_model: Path) -> PromptCodec:
    return PromptCodec(str(tiny_model), "auto", 64)


def test_a_prompt_survives_encoding_and_is_tokenised_once(
    codec: PromptCodec, make_requests: Callable[..., list[Request]]
) -> None:
    requests = make_requests(8)
    encoded = codec.encode(requests)
    assert encoded[0] is encoded[3]
    assert codec.decode([encoded[0]]) == [requests[0].prompt]


def test_a_prompt_that_does_not_fit_names_its_length_and_the_key_to_raise(
    codec: PromptCodec, make_requests: Callable[..., list[Request]]
) -> None:
    request = make_requests(1, prefix="x" * 40)[0]
    length = len(request.prompt)
    with pytest.raises(UserError, match=rf"has {length} tokens.*generators\.max_model_len=64.*at least {length + 12}"):
        codec.encode([request])


def test_a_prompt_that_just_fits_is_accepted(codec: PromptCodec, make_requests: Callable[..., list[Request]]) -> None:
    request = replace(make_requests(1)[0], prompt="1" * 52)
    assert len(codec.encode([request])[0]) == 52


def test_a_prompt_with_a_character_outside_the_vocabulary_is_refused(
    codec: PromptCodec, make_requests: Callable[..., list[Request]]
) -> None:
    request = replace(make_requests(1)[0], prompt="Calculate: 5 × 3 = ")
    with pytest.raises(UserError, match=r"lossy.*lost: '×'"):
        codec.encode([request])


def test_a_tokenizer_that_drops_spaces_is_refused_at_start(tmp_path: Path, tiny_model: Path) -> None:
    """The trap itself: raw characters in a vocabulary that AutoTokenizer reads as byte-level."""
    vocab = {char: i for i, char in enumerate(["<unk>", "<eos>", *"0123456789+=", " ", "\n"])}
    Qwen2Tokenizer(vocab=vocab, merges=[], unk_token="<unk>", eos_token="<eos>", pad_token="<eos>").save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text((tiny_model / "config.json").read_text())
    with pytest.raises(UserError, match="is lossy"):
        PromptCodec(str(tmp_path), "plain", 64)


def test_the_probe_holds_every_printable_character_of_the_vocabulary(codec: PromptCodec) -> None:
    probe = probe_text(codec.tokenizer)
    assert {"0", "9", "a", "Z", "+", "=", " ", "\n"} <= set(probe)
    assert_lossless(codec.tokenizer, probe, "tiny")


def test_chat_is_refused_without_a_template(tiny_model: Path) -> None:
    with pytest.raises(UserError, match="no chat template; use plain or auto"):
        PromptCodec(str(tiny_model), "chat", 64)


def test_auto_uses_the_chat_template_where_there_is_one(
    tmp_path: Path, tiny_model: Path, make_requests: Callable[..., list[Request]]
) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = "{% for m in messages %}[{{ m.content }}]{% endfor %}{% if add_generation_prompt %}>{% endif %}"
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text((tiny_model / "config.json").read_text())
    request = make_requests(1)[0]
    chat, plain = PromptCodec(str(tmp_path), "auto", 64), PromptCodec(str(tmp_path), "plain", 64)
    assert chat.decode(chat.encode([request])) == [f"[{request.prompt}]>"]
    assert plain.decode(plain.encode([request])) == [request.prompt]


def test_stop_tokens_come_from_tokenizer_and_generation_config(tmp_path: Path, tiny_model: Path) -> None:
    for file in tiny_model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [2, 7]}')
    assert PromptCodec(str(tmp_path), "plain", 64).stop_ids == {2, 7}


def test_an_unknown_model_is_one_line_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model\.name_or_path: no tokenizer can be loaded from .*nowhere") as caught:
        PromptCodec(str(tmp_path / "nowhere"), "plain", 64)
    assert "\n" not in str(caught.value)


def test_a_rollout_with_a_token_without_logprob_is_our_bug(make_requests: Callable[..., list[Request]]) -> None:
    with pytest.raises(RuntimeError, match="2 tokens, 1 logprobs"):
        make_rollout(
            make_requests(1)[0], prompt_ids=(1,), completion_ids=(1, 2), logprobs=(0.0,), text="", finish_reason="stop",
            version=0, fingerprint="", sampler_id="s",
        )  # fmt: skip
