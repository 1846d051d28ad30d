"""Parts that take time instead of computing: sleeping generators and a sleeping learner behind the protocols of the real ones.

The whole control plane (loop or pipeline, router, buffers, verifier, ledger, event log, telemetry) runs with them as it is;
any number of such generators fits into one process. They answer arithmetic: proposals that are admitted, hardly two alike, and
answers that are sometimes right. Requests at temperature 0 (evaluations) are answered at once.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from learner.weights import Publication, WeightManifest
from selfplay.pipeline.protocols import Health
from selfplay.simulation.engine import EngineModel, Speed, makespan
from selfplay.simulation.fleet import balanced
from tasks.records import Kind, Request, Role, Rollout, Trajectory

Lengths = Callable[[Request], int]  # tokens of a completion


class SimulatedGenerator:
    """One engine; implements `selfplay.pipeline.protocols.StreamingGenerator`."""

    def __init__(self, name: str, speed: Speed, lengths: Lengths, swap: Literal["drain", "keep"] = "drain") -> None:
        self._name, self._speed, self._lengths, self._swap = name, speed, lengths, swap
        self._engine: EngineModel | None = None

    def submit(self, request: Request, oldest: int) -> asyncio.Future[Rollout]:
        future: asyncio.Future[Rollout] = asyncio.get_running_loop().create_future()

        def done(version: int) -> None:
            if not future.done():
                future.set_result(canned(request, self._lengths(request), version, self._name))

        self._serving().submit(_sampled(self._lengths, request), oldest, done)
        return future

    def load(self, publication: Publication) -> None:
        self._serving().load(publication.manifest.version)

    def health(self) -> Sequence[Health]:
        engine = self._engine
        if engine is None:
            return [Health(name=self._name, version=-1)]
        known = Health(name=self._name, version=engine.version, in_flight=engine.in_flight)
        return [replace(known, swaps=engine.num_swaps, drain_s=engine.drain_s, pause_s=engine.pause_s)]

    async def serve(self) -> None:
        await asyncio.Event().wait()

    def _serving(self) -> EngineModel:
        """The engine's clock is the event loop in which it is asked first."""
        if self._engine is None:
            self._engine = EngineModel(asyncio.get_running_loop(), self._speed, self._swap)
        return self._engine


class SimulatedGenerators:
    """`count` engines for the synchronous loop; implements `selfplay.protocols.Generator`."""

    def __init__(self, count: int, speed: Speed, lengths: Lengths, sleep: Callable[[float], object] = time.sleep) -> None:
        self._count, self._speed, self._lengths, self._sleep = count, speed, lengths, sleep
        self._version = -1

    def generate(self, requests: Sequence[Request]) -> list[Rollout]:
        """The call lasts as long as the slowest of them."""
        shares = balanced([_sampled(self._lengths, request) for request in requests], self._count)
        self._sleep(max(makespan(self._speed, share) for share in shares))
        return [canned(request, self._lengths(request), self._version, "simulated") for request in requests]

    def load(self, publication: Publication) -> None:
        self._sleep(self._speed.load_s)
        self._version = publication.manifest.version


class SimulatedLearner:
    """Implements `selfplay.protocols.Learner`; an update takes `update_s`, whatever the batch."""

    def __init__(self, update_s: float, sleep: Callable[[float], object] = time.sleep) -> None:
        self._update_s, self._sleep = update_s, sleep

    def update(self, batch: Sequence[Trajectory], lr: float) -> dict[str, float]:
        self._sleep(self._update_s)
        return {"lr": lr}

    def publish(self, version: int) -> Publication:
        return Publication(manifest=WeightManifest(version=version, fingerprint="", tensors=()), buckets=(np.zeros(1),))

    def snapshot(self, path: Path) -> "SimulatedLearner":
        return self

    def write(self) -> None:
        """Nothing to keep."""

    def load(self, path: Path) -> None:
        """Nothing was kept."""


def canned(request: Request, num_tokens: int, version: int, sampler: str, fingerprint: str = "") -> Rollout:
    """A rollout of so many tokens (at least one), whose text depends on the request alone."""
    ids = (2,) * max(1, num_tokens)
    return Rollout(
        task_id=request.task_id,
        attempt=request.attempt,
        step=request.step,
        kind=request.kind,
        role=request.role,
        prompt_ids=(1,),
        completion_ids=ids,
        logprobs=(-1.0,) * len(ids),
        temperature=request.temperature,
        text=_text(request),
        finish_reason="stop",
        policy_version=version,
        weight_fingerprint=fingerprint,
        sampler_id=sampler,
        seed=request.seed,
    )


def _text(request: Request) -> str:
    first, second = request.seed % 97 + 2, request.seed // 97 % 89 + 2
    if request.role is Role.SOLVE:
        return str(request.seed % 3)
    if request.kind is Kind.INDUCTION:
        return " ".join(f"({first + i},{second + 2 * i})" for i in range(6))
    return f"{first} + {second} * {request.seed // 8633 % 89 + 2}"


def _sampled(lengths: Lengths, request: Request) -> int:
    return lengths(request) if request.temperature else 0
