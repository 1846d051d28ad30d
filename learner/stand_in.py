"""The stand-in: a tiny Qwen2-architecture model and a character tokenizer, made on the spot where no hub is at hand.

It stands in for a pre-trained model and is nothing else: every number that it gives is a number of the stand-in. The
tokenizer is a real `Qwen2Tokenizer` (transformers ignores other classes for this architecture and would silently lose
spaces), with the family's characters as its base and a few words merged.
"""

from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase, Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from configs.play_sections import StandInSection

END = "<|endoftext|>"
UNKNOWN = "<|unknown|>"


def build_tokenizer(alphabet: str, words: tuple[str, ...]) -> PreTrainedTokenizerBase:
    """One token per character of the alphabet (three for those of three UTF-8 bytes) and per word.

    Raises ValueError when the alphabet and the words do not survive encoding and decoding.
    """
    byte_of = bytes_to_unicode()
    spelled = ["".join(byte_of[byte] for byte in text.encode()) for text in (*alphabet, *words)]
    vocabulary = {END: 0, UNKNOWN: 1}
    merges: list[tuple[str, str]] = []
    for text in spelled:
        for char in text:
            vocabulary.setdefault(char, len(vocabulary))
    for text in spelled:
        for end in range(2, len(text) + 1):
            if text[:end] not in vocabulary:
                vocabulary[text[:end]] = len(vocabulary)
                merges.append((text[: end - 1], text[end - 1]))
    tokenizer = Qwen2Tokenizer(
        vocab=vocabulary, merges=merges, unk_token=UNKNOWN, bos_token=None, eos_token=END, pad_token=END, model_max_length=4096
    )
    for text in (alphabet, *words):
        decoded = tokenizer.decode(tokenizer(text)["input_ids"])
        if decoded != text:
            raise ValueError(f"alphabet must survive encoding and decoding, got {decoded!r} for {text!r}")
    return tokenizer


def build_model(section: StandInSection, vocabulary_size: int) -> Qwen2ForCausalLM:
    """Random weights from the section's seed, float32."""
    config = Qwen2Config(
        vocab_size=vocabulary_size,
        hidden_size=section.hidden_size,
        intermediate_size=4 * section.hidden_size,
        num_hidden_layers=section.num_layers,
        num_attention_heads=section.num_heads,
        num_key_value_heads=section.num_heads,
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        initializer_range=section.hidden_size
        ** -0.5,  # the usual 0.02 is for wide models; a narrow one learns far slower with it
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(section.seed)
        model = Qwen2ForCausalLM(config)
    model.generation_config.eos_token_id = 0
    return model


def save(model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    """In Hugging Face format: loads in transformers and vLLM."""
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
