"""A tiny random Qwen2 with a character tokenizer, a vLLM engine per module, and requests to ask of them."""

import gc
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

from actors.fleet import Berth
from actors.placement import berth
from actors.vllm_engine import VllmEngine
from configs.system_sections import GeneratorsSection
from learner.weights import Publication, pack
from tasks.records import Kind, Request, Role

SPECIALS = ("<pad>", "<unk>", "<eos>")


def build_tokenizer() -> Qwen2Tokenizer:
    """Characters as a byte-level vocabulary without merges, so that AutoTokenizer restores it as it is."""
    coded = {" ": "Ġ", "\n": "Ċ"}
    chars = [coded.get(char, char) for char in string.digits + string.ascii_letters + string.punctuation + " \n"]
    vocab = {token: i for i, token in enumerate((*SPECIALS, *chars))}
    return Qwen2Tokenizer(vocab=vocab, merges=[], unk_token="<unk>", eos_token="<eos>", pad_token="<pad>", bos_token=None)


def random_weights(model: Any, seed: int) -> None:
    """Larger than the usual initialisation, so that the policy is far from uniform and greedy choices are clear."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.15, generator=generator)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random 2-layer Qwen2 in float32, with tied embeddings."""
    path = tmp_path_factory.mktemp("tiny-model")
    tokenizer = build_tokenizer()
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, tie_word_embeddings=True, eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(config)
    random_weights(model, 0)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def generators() -> GeneratorsSection:
    return GeneratorsSection(max_model_len=256, max_num_seqs=32, threads=1)


@pytest.fixture(scope="module")
def vllm_engine(tiny_model: Path, generators: GeneratorsSection) -> Iterator[VllmEngine]:
    engine = VllmEngine(tiny_model, generators, sampler_id="vllm-test")
    yield engine
    engine.close()
    gc.collect()


@pytest.fixture(scope="session")
def make_model(tiny_model: Path) -> Callable[[int], Any]:
    """A transformers model with the weights of a seed."""

    def build(seed: int) -> Any:
        model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()
        random_weights(model, seed)
        return model

    return build


@pytest.fixture(scope="session")
def publish(make_model: Callable[[int], Any]) -> Callable[[int], Publication]:
    """The publication of the weights of a seed; the seed is its version."""
    return lambda seed: pack(make_model(seed).named_parameters(), version=seed)


@pytest.fixture(scope="session")
def make_requests() -> Callable[..., list[Request]]:
    def build(count: int, *, temperature: float = 1.0, max_tokens: int = 12, prefix: str = "") -> list[Request]:
        return [
            Request(
                task_id=f"task-{i // 4}", attempt=i % 4, step=1, kind=Kind.DEDUCTION, role=Role.SOLVE,
                prompt=f"{prefix}Calculate: {i // 4} + {7 * (i // 4) % 21} = ", seed=1000 + i, temperature=temperature,
                max_tokens=max_tokens,
            )
            for i in range(count)
        ]  # fmt: skip

    return build


@pytest.fixture(scope="session")
def make_berth() -> Callable[..., Berth]:
    """A place for one actor, anywhere on the test cluster."""
    return lambda name, *args: berth(name, {"CPU": 0.25}, None, 0, {"OMP_NUM_THREADS": "1"}, args)
