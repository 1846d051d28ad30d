"""How fast the learner is: `python -m benchmarks.learner --json` (two cores, float32) or `--gpu` (tokens/s and MFU).

CPU: `Learner.update` against the two loops of benchmarks.learner_baselines, interleaved in one process, on the same
batch and initial weights; the median over rounds of the ratio of times. `ratio`: ÷ the loop with prompt sharing;
`over_plain_loop`: ÷ the loop without. The first update's losses must agree, else the comparison means nothing.

GPU: a Qwen2-0.5B-shaped model with random weights, bfloat16, ZeRO 1, 384 sequences of 256 tokens (48 prompts × 8
attempts). Tokens/s counts those sequences whole, as a loop without sharing would have to compute them; MFU counts only
the floating-point operations that are really done (shared prompts once, logits on predicting positions).
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from benchmarks.learner_baselines import PlainLoop, SharedPromptLoop
from configs.system_sections import LearnerSection
from learner.learner import Learner
from tasks.records import Kind, Role, Rollout, Trajectory

WARM_UP = 3
# Dense bfloat16 peak in FLOP/s by a part of the device's name (makers' data sheets).
PEAK_FLOPS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A model and a batch; completions are ragged up to the given length when `ragged`."""

    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    prompts: int
    attempts: int
    prompt_tokens: int
    answer_tokens: int
    ragged: bool

    @property
    def matmul_parameters(self) -> int:
        """Weights of the blocks that every input token is multiplied with (embedding and head apart)."""
        kv_width = self.hidden * self.kv_heads // self.heads
        attention = self.hidden * (2 * self.hidden + 2 * kv_width)
        return self.layers * (attention + 3 * self.hidden * self.intermediate)


TINY = Shape(
    vocabulary=100, hidden=128, intermediate=512, layers=2, heads=4, kv_heads=4,
    prompts=48, attempts=8, prompt_tokens=22, answer_tokens=4, ragged=True,
)  # fmt: skip
QWEN2_HALF_BILLION = Shape(
    vocabulary=151936, hidden=896, intermediate=4864, layers=24, heads=14, kv_heads=2,
    prompts=48, attempts=8, prompt_tokens=64, answer_tokens=192, ragged=False,
)  # fmt: skip


def make_model(shape: Shape, path: Path, seed: int) -> str:
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
    )
    Qwen2ForCausalLM(config).save_pretrained(path)
    return str(path)


def make_batch(shape: Shape, seed: int) -> list[Trajectory]:
    """Random prompts and completions (about `answer_tokens` long: 3 to 5 of 4), shuffled as rollouts come back."""
    rng = np.random.default_rng(seed)
    prompts = rng.integers(4, shape.vocabulary, (shape.prompts, shape.prompt_tokens)).tolist()
    spread = max(1, shape.answer_tokens // 4) if shape.ragged else 0
    batch = []
    for number in range(shape.prompts * shape.attempts):
        prompt = number % shape.prompts
        length = shape.answer_tokens + int(rng.integers(-spread, spread + 1))
        rollout = Rollout(
            task_id=f"task-{prompt}",
            attempt=number // shape.prompts,
            step=0,
            kind=Kind.DEDUCTION,
            role=Role.SOLVE,
            prompt_ids=tuple(prompts[prompt]),
            completion_ids=tuple(rng.integers(4, shape.vocabulary, length).tolist()),
            logprobs=(-float(np.log(shape.vocabulary)),) * length,
            temperature=1.0,
            text="",
            finish_reason="stop",
            policy_version=0,
            weight_fingerprint="",
            sampler_id="random",
            seed=seed,
        )
        batch.append(Trajectory(rollout=rollout, reward=0.0, advantage=float(rng.normal())))
    return batch


def compare(shape: Shape, rounds: int, seed: int, threads: int) -> dict[str, float]:
    """Seconds per update of the three (medians), and the medians of their ratios round by round."""
    section = LearnerSection(threads=threads)
    batch = make_batch(shape, seed)
    with tempfile.TemporaryDirectory() as folder:
        path = make_model(shape, Path(folder), seed)
        learner = Learner(path, section, dtype="float32", seed=seed)
        shared, plain = SharedPromptLoop(path, section), PlainLoop(path, section)
    first = (learner.update(batch, section.lr)["loss/total"], shared.update(batch)[0], plain.update(batch)[0])
    if max(first) - min(first) > 1e-5:
        raise RuntimeError(f"the three loops disagree on the first loss: {first}")
    times: list[tuple[float, float, float]] = []
    for number in range(WARM_UP + rounds):
        seconds = []
        for update in (partial(learner.update, lr=section.lr), shared.update, plain.update):
            start = time.perf_counter()
            update(batch)
            seconds.append(time.perf_counter() - start)
        if number >= WARM_UP:
            times.append((seconds[0], seconds[1], seconds[2]))
    ours, with_sharing, without = (statistics.median(column) for column in zip(*times, strict=True))
    return {
        "ratio": round(statistics.median(time[1] / time[0] for time in times), 3),
        "over_plain_loop": round(statistics.median(time[2] / time[0] for time in times), 3),
        "seconds": round(ours, 4),
        "shared_loop_seconds": round(with_sharing, 4),
        "plain_loop_seconds": round(without, 4),
    }


def throughput(shape: Shape, section: LearnerSection, dtype: str, steps: int, seed: int) -> dict[str, float]:
    """Tokens per second of `Learner.update`, and MFU where the device's peak is known."""
    batch = make_batch(shape, seed)
    with tempfile.TemporaryDirectory() as folder:
        path = make_model(shape, Path(folder), seed)
        learner = Learner(path, section, dtype=dtype, seed=seed)
    seconds = []
    for number in range(WARM_UP + steps):
        start = time.perf_counter()
        scalars = learner.update(batch, section.lr)  # ends with the metrics on the CPU, so the device is done
        if number >= WARM_UP:
            seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    computed = scalars["learner/computed_tokens"]
    flops = update_flops(shape, computed, scalars["learner/tokens"])
    result = {
        "seconds": round(median, 4),
        "tokens_per_s": round(sum(len(i.rollout.prompt_ids) + len(i.rollout.completion_ids) for i in batch) / median, 1),
        "computed_tokens_per_s": round(computed / median, 1),
        "tflops_per_s": round(flops / median / 1e12, 3),
    }
    if section.device == "gpu":
        name = torch.cuda.get_device_name()
        peak = next((value for part, value in PEAK_FLOPS.items() if part in name), None)
        result["peak_memory_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
        if peak is not None:
            result["mfu"] = round(flops / median / peak, 4)
    return result


def update_flops(shape: Shape, computed_tokens: float, predicted_tokens: float) -> float:
    """6 per weight and token (forward 2, backward 4), the head on predicting positions only, and attention.

    Attention: 12·layers·hidden per (query, key) pair that the mask allows: a completion token sees the prompt and on
    average half of its completion.
    """
    blocks = 6 * shape.matmul_parameters * computed_tokens
    head = 6 * shape.hidden * shape.vocabulary * predicted_tokens
    seen = shape.prompts * (
        shape.prompt_tokens**2 / 2 + shape.attempts * shape.answer_tokens * (shape.prompt_tokens + shape.answer_tokens / 2)
    )
    return blocks + head + 12 * shape.layers * shape.hidden * seen


def machine() -> str:
    """Device, cores and system, for the table of results."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{model} x {os.cpu_count()}{gpu}"


def commit() -> str:
    """The commit of this checkout; empty outside git."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
        cwd=Path(__file__).parent,
    )
    return done.stdout.strip()


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learner", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one line of JSON only")
    parser.add_argument("--gpu", action="store_true", help="tokens/s and MFU of a Qwen2-0.5B-shaped model in bfloat16")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=15, help="measured updates of each loop")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args(argv)
    if options.gpu:
        section = LearnerSection(device="gpu", zero_stage=1, micro_batch_tokens=32768)
        result = throughput(QWEN2_HALF_BILLION, section, "bfloat16", options.rounds, options.seed)
    else:
        result = compare(TINY, options.rounds, options.seed, options.threads)
    if not options.json:
        for name, value in result.items():
            sys.stdout.write(f"{name:>24}  {value}\n")
    line = json.dumps({**result, "machine": machine(), "commit": commit(), "seed": options.seed})
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
