"""A tiny random policy, batches of rollouts for it, and learner ranks in processes of their own."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import Qwen2Config, Qwen2ForCausalLM

from tasks.records import Kind, Role, Rollout, Trajectory

VOCABULARY = 100


def tiny_config(**changes: Any) -> Qwen2Config:
    sizes: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "tie_word_embeddings": True,
    }
    return Qwen2Config(**(sizes | changes))


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny Qwen2 with random weights and a tokenizer file that nothing reads."""
    path = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(tiny_config())
    # Initial weights of 0.02 make nearly uniform policies; larger ones make logprobs that a wrong mask would change.
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4)
    model.save_pretrained(path)
    (path / "tokenizer_config.json").write_text("{}")
    return str(path)


def trajectory(
    prompt: Sequence[int],
    completion: Sequence[int],
    *,
    advantage: float = 1.0,
    temperature: float = 1.0,
    logprobs: Sequence[float] | None = None,
    trainable: bool = True,
    number: int = 0,
) -> Trajectory:
    rollout = Rollout(
        task_id="t",
        attempt=number,
        step=0,
        kind=Kind.DEDUCTION,
        role=Role.SOLVE,
        prompt_ids=tuple(int(token) for token in prompt),
        completion_ids=tuple(int(token) for token in completion),
        logprobs=tuple(logprobs) if logprobs is not None else (-1.0,) * len(completion),
        temperature=temperature,
        text="",
        finish_reason="stop",
        policy_version=0,
        weight_fingerprint="",
        sampler_id="test",
        seed=0,
    )
    return Trajectory(rollout=rollout, reward=0.0, advantage=advantage, trainable=trainable)


def random_batch(
    seed: int, *, num_prompts: int = 6, group: int = 4, vocabulary: int = VOCABULARY, longest: int = 6, temperature: float = 1.0
) -> list[Trajectory]:
    """Ragged prompts and completions; a small vocabulary makes completions share beginnings."""
    rng = np.random.default_rng(seed)
    batch: list[Trajectory] = []
    for _ in range(num_prompts):
        prompt = rng.integers(0, vocabulary, rng.integers(1, 12)).tolist()
        for _ in range(group):
            completion = rng.integers(0, vocabulary, rng.integers(1, longest + 1)).tolist()
            batch.append(
                trajectory(prompt, completion, advantage=float(rng.normal()), temperature=temperature, number=len(batch))
            )
    return batch


@pytest.fixture(scope="session")
def make_batch() -> Callable[..., list[Trajectory]]:
    return random_batch


@pytest.fixture(scope="session")
def make_trajectory() -> Callable[..., Trajectory]:
    return trajectory


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_ranks(folder: Path, job: dict[str, Any], world_size: int) -> list[dict[str, Any]]:
    """Runs tests/learner/rank.py on every rank; per section what rank 0 wrote, with the published weights."""
    written = folder / "job"
    written.write_text(json.dumps(job | {"folder": str(folder)}))
    common = {
        "WORLD_SIZE": str(world_size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "OMP_NUM_THREADS": "1",
    }
    root = Path(__file__).parents[2]
    processes = []
    for rank in range(world_size):
        environment = {"RANK": str(rank), "LOCAL_RANK": str(rank), "PYTHONPATH": str(root)}
        with (folder / f"rank-{rank}.log").open("w") as log:
            command = [sys.executable, str(Path(__file__).with_name("rank.py")), str(written)]
            processes.append(subprocess.Popen(command, env=os.environ | common | environment, stdout=log, stderr=log))
    try:
        codes = [process.wait(timeout=240) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for number, code in enumerate(codes):
        assert code == 0, (folder / f"rank-{number}.log").read_text()[-3000:]
    return [
        json.loads((folder / f"{number}.json").read_text()) | {"weights": load_file(folder / f"{number}.safetensors")}
        for number in range(len(job["sections"]))
    ]


@pytest.fixture(scope="session")
def ranks() -> Callable[..., list[dict[str, Any]]]:
    return run_ranks
