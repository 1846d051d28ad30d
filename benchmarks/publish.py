"""Seconds of one weight publication ÷ seconds of the copies that it cannot do without, of models of several sizes.

    publication   learner actor packs, object store, generator actor loads: RemoteLearner.publish, RemoteGenerators.load
    floor         the same bytes: out of a model's tensors, one put, one get, into another model's tensors; nothing else
    fingerprints  the same bytes hashed twice, as the sender and the receiver do: what of a publication is no copying
    pause         an engine's load of buckets that are here already: for how long a streaming generator samples nothing

All on one local Ray, with random weights, one thread each, in turns whose order alternates; each figure is the median over
rounds of the ratio within the round. What is small pays the fixed cost of some calls, so that the ratio of a tiny model says
little of a large one. Shares of a step are of a run (`--run`): what it recorded itself. Does not measure: several nodes,
generators or ranks, GPUs, vLLM's load.
"""

import argparse
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch

from actors.learner import LearnerSpec
from actors.placement import actor_env, berth
from actors.proxies import RemoteGenerators, RemoteLearner, started
from actors.transformers_engine import TransformersEngine
from benchmarks.learner import commit, machine
from benchmarks.ledger import WHOLE, Scalars, read_steps
from configs.errors import UserError
from configs.play_sections import ModelSection, StandInSection
from configs.system_sections import GeneratorsSection, LearnerSection
from learner.stand_in import build_model, build_tokenizer, save
from learner.weights import Bucket, fingerprint
from tasks.family import load_family

Side = Callable[[], dict[str, float]]  # one run of it: seconds by name
SIZES = ("128x2", "256x4", "512x8")  # 0.5, 4 and 34 million parameters; the first is the stand-in
WARM_UP = 2
TIMEOUT_S = 300.0


class Copies:
    """The floor. Its memory is touched before it is measured, and stays where it is."""

    def __init__(self, source: torch.nn.Module, target: torch.nn.Module) -> None:
        self._source, self._target = _flat(source), _flat(target)
        self._buffer = np.zeros(sum(part.nbytes for part in self._source), np.uint8)
        self.num_bytes = self._buffer.nbytes

    def run(self) -> None:
        np.concatenate(self._source, out=self._buffer)
        whole = ray.get(ray.put(self._buffer), timeout=TIMEOUT_S)
        offset = 0
        for part in self._target:
            np.copyto(part, whole[offset : offset + part.nbytes])
            offset += part.nbytes


def _flat(model: torch.nn.Module) -> list[Bucket]:
    """Views of the parameters' own bytes."""
    return [parameter.detach().view(-1).numpy().view(np.uint8) for parameter in model.parameters()]


def section_of(size: str) -> StandInSection:
    """WIDTHxLAYERS."""
    width, _, layers = size.partition("x")
    if not (width.isdecimal() and layers.isdecimal() and int(width) >= 32 and int(width) % 32 == 0 and int(layers)):
        raise UserError(f"--sizes must be WIDTHxLAYERS with a width that 32 divides, got {size}; as in 512x8")
    return StandInSection(hidden_size=int(width), num_layers=int(layers), num_heads=int(width) // 32)


def start_parts(path: str, generators: GeneratorsSection, size: str) -> tuple[RemoteLearner, RemoteGenerators]:
    spec = LearnerSpec(model_path=path, config=LearnerSection(threads=1), dtype="float32", seed=0, timeout_s=TIMEOUT_S)
    places = [berth(f"azr-{role}-0", {"CPU": 0.5}, None, 0, actor_env(1, path)) for role in ("learner", "generator")]
    where: dict[str, Any] = {"run": f"publish-{size}", "call_timeout_s": TIMEOUT_S}
    learner, generator = started(
        [
            lambda: RemoteLearner(spec, berths=places[:1], start_timeout_s=TIMEOUT_S, **where),
            lambda: RemoteGenerators(path, generators, ModelSection(), berths=places[1:], **where),
        ],
        TIMEOUT_S,
    )
    return learner, generator


def publishing(learner: RemoteLearner, generators: RemoteGenerators) -> Side:
    """A new version each time; the one before is freed first."""
    version = 0

    def side() -> dict[str, float]:
        nonlocal version
        version += 1
        begun = time.perf_counter()
        publication = learner.publish(version)
        packed = time.perf_counter()
        generators.load(publication)
        loaded = time.perf_counter()
        return {"publication": loaded - begun, "learner": packed - begun, "generator": loaded - packed}

    return side


def timed(name: str, work: Callable[[], object]) -> Side:
    def side() -> dict[str, float]:
        begun = time.perf_counter()
        work()
        return {name: time.perf_counter() - begun}

    return side


def measure(sides: Sequence[Side], rounds: int) -> dict[str, list[float]]:
    """Seconds by name, one of each round; the order turns round by round, so that a drift of the machine favours nobody."""
    for side in [*sides] * WARM_UP:
        side()
    seconds: dict[str, list[float]] = {}
    for number in range(rounds):
        for side in sides if number % 2 else reversed(sides):
            for name, value in side().items():
                seconds.setdefault(name, []).append(value)
    return seconds


def compare(size: str, rounds: int) -> dict[str, float]:
    """Of a model of this size, on a Ray that runs."""
    section, generators = section_of(size), GeneratorsSection(engine="transformers", threads=1)
    family = load_family("arithmetic", {})
    tokenizer = build_tokenizer(family.alphabet, family.words)
    model = build_model(section, len(tokenizer))
    copies = Copies(model, build_model(section.model_copy(update={"seed": 1}), len(tokenizer)))
    with tempfile.TemporaryDirectory() as path:
        save(model, tokenizer, Path(path))
        engine = TransformersEngine(path, generators)
        learner, remote = start_parts(path, generators, size)
        try:
            first = learner.publish(0)
            here = replace(first, buckets=tuple(ray.get(list(first.buckets), timeout=TIMEOUT_S)))
            if sum(spec.num_bytes for spec in here.manifest.tensors) != copies.num_bytes:
                raise RuntimeError("a publication and the floor must be of the same bytes, but they differ in number")
            sides = [
                publishing(learner, remote),
                timed("floor", copies.run),
                timed("fingerprints", lambda: [fingerprint(here.buckets) for _ in range(2)]),
                timed("pause", lambda: engine.load(here)),
            ]
            seconds = measure(sides, rounds)
        finally:
            remote.close()
            learner.close()
    return {"parameters": model.num_parameters(), "mib": round(copies.num_bytes / 2**20, 1), **summarise(seconds)}


def summarise(seconds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Medians of the rounds' ratios."""

    def ratio(name: str, over: str) -> float:
        pairs = zip(seconds[name], seconds[over], strict=True)
        return round(statistics.median(value / unit for value, unit in pairs), 3)

    parts = {
        f"{name}_over_floor": ratio(name, "floor") for name in ("publication", "learner", "generator", "fingerprints", "pause")
    }
    return {**parts, "pause_over_publication": ratio("pause", "publication")}


def shares(steps: Sequence[tuple[int, Scalars]]) -> dict[str, float]:
    """Of all steps' time: what the learner's loop spent on publishing and, of an asynchronous run, a generator's pause.

    Synchronously the publication ends when the generators have loaded it, so that their pause is a part of it.
    """
    whole_s = sum(told[WHOLE] for _, told in steps)
    found = {"publish_share": sum(told.get("time/publish", 0.0) for _, told in steps) / whole_s}
    name = "generators/pause_share"
    if any(name in told for _, told in steps):
        found["pause_share"] = sum(told.get(name, 0.0) * told[WHOLE] for _, told in steps) / whole_s
    return {name: round(share, 4) for name, share in found.items()}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.publish", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one line of JSON only")
    parser.add_argument("--rounds", type=int, default=15, help="measured publications of each size")
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), help="of the models: WIDTHxLAYERS")
    parser.add_argument("--run", type=Path, help="a run directory whose share of publishing is told too")
    options = parser.parse_args(argv)
    try:
        of_run = shares(read_steps(options.run)) if options.run else {}
        for size in options.sizes:
            section_of(size)
    except UserError as error:
        sys.exit(f"error: {error}")
    torch.set_num_threads(1)
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        sizes = {size: compare(size, options.rounds) for size in options.sizes}
    finally:
        ray.shutdown()
    if not options.json:
        for size, figures in sizes.items():
            for name, value in figures.items():
                sys.stdout.write(f"{size:>8} {name:>24}  {value}\n")
        for name, value in of_run.items():
            sys.stdout.write(f"{'run':>8} {name:>24}  {value}\n")
    over = {size: figures["publication_over_floor"] for size, figures in sizes.items()}
    run = {"run": {"path": str(options.run), **of_run}} if options.run else {}
    sys.stdout.write(json.dumps({"over_floor": over, "sizes": sizes, **run, "machine": machine(), "commit": commit()}) + "\n")


if __name__ == "__main__":
    main()
