"""Stand-ins for the two parts with a model in them, so that the loop is tested without one. Everything else is real."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from buffers.buffers import TaskBuffers
from buffers.census import family_traits
from configs.play_sections import BuffersSection, SolverSection
from configs.schema import RunConfig
from configs.system_sections import EvaluationSection, RunSection
from learner.weights import Publication, WeightManifest
from selfplay.loop import Parts
from tasks.records import Kind, Request, Role, Rollout, Trajectory
from telemetry.records import StepRecord
from verifier.verifier import FamilyVerifier


class FakeGenerator:
    """Writes text by each request's own seed: a fair share of valid proposals and of right answers, no model."""

    def __init__(self) -> None:
        self.version = -1
        self.requests: list[Request] = []

    def generate(self, requests: Sequence[Request]) -> list[Rollout]:
        self.requests += requests
        return [self._rollout(request) for request in requests]

    def _rollout(self, request: Request) -> Rollout:
        text = self._text(request, random.Random(request.seed))
        truncated = len(text) > request.max_tokens
        ids = tuple(ord(char) % 100 for char in text[: request.max_tokens])
        return Rollout(
            task_id=request.task_id,
            attempt=request.attempt,
            step=request.step,
            kind=request.kind,
            role=request.role,
            prompt_ids=tuple(ord(char) % 100 for char in request.prompt),
            completion_ids=ids,
            logprobs=(-1.0,) * len(ids),
            temperature=request.temperature,
            text=text[: request.max_tokens],
            finish_reason="length" if truncated else "stop",
            policy_version=self.version,
            weight_fingerprint="fake",
            sampler_id="fake",
            seed=request.seed,
        )

    def _text(self, request: Request, rng: random.Random) -> str:
        if request.role is Role.SOLVE:
            return str(rng.randint(0, 3)) if request.kind is Kind.DEDUCTION else rng.choice(["a + b", "5, 6", "no", "9" * 90])
        if request.kind is Kind.INDUCTION:
            return " ".join(f"({rng.randint(0, 99)},{rng.randint(0, 99)})" for _ in range(rng.choice([5, 6, 6])))
        return f"{rng.randint(2, 120)} {rng.choice('+-*/')} {rng.randint(2, 99)}"

    def load(self, publication: Publication) -> None:
        self.version = publication.manifest.version


class FakeLearner:
    """Its weights are one number that every batch moves, so that a lost or repeated update shows."""

    def __init__(self) -> None:
        self.weight = 0.0
        self.batches: list[list[Trajectory]] = []

    def update(self, batch: Sequence[Trajectory], lr: float) -> dict[str, float]:
        self.batches.append(list(batch))
        self.weight += sum(item.advantage * len(item.rollout.completion_ids) for item in batch) + 1
        return {"loss/total": self.weight}

    def publish(self, version: int) -> Publication:
        return Publication(manifest=WeightManifest(version=version, fingerprint="fake", tensors=()), buckets=(np.zeros(1),))

    def snapshot(self, path: Path) -> "FakeSnapshot":
        return FakeSnapshot(path, self.weight)

    def load(self, path: Path) -> None:
        self.weight = json.loads((path / "trainer" / "weight.json").read_text())


@dataclass(frozen=True)
class FakeSnapshot:
    path: Path
    weight: float

    def write(self) -> None:
        (self.path / "trainer").mkdir()
        (self.path / "trainer" / "weight.json").write_text(json.dumps(self.weight))


class RecordingTelemetry:
    def __init__(self) -> None:
        self.records: list[StepRecord] = []

    def emit(self, record: StepRecord) -> None:
        self.records.append(record)


@pytest.fixture(scope="session")
def small_config() -> RunConfig:
    return RunConfig(
        tasks_per_kind=4,
        run=RunSection(steps=6, checkpoint_every=2, keep_checkpoints=2),
        buffers=BuffersSection(seed_size=10, seed_rounds=1),
        evaluation=EvaluationSection(every=3),
        solver=SolverSection(attempts=4),
    )


def make_parts(verifier: FamilyVerifier) -> Parts:
    return Parts(
        generator=FakeGenerator(),
        verifier=verifier,
        buffers=TaskBuffers(list(Kind), 1000, family_traits(verifier.family)),
        learner=FakeLearner(),
        telemetry=RecordingTelemetry(),
    )


@pytest.fixture(scope="session")
def build_parts(verifier: FamilyVerifier) -> Callable[[], Parts]:
    """New parts at each call, for a property that needs them anew for each example."""
    return lambda: make_parts(verifier)


@pytest.fixture
def parts(verifier: FamilyVerifier) -> Parts:
    return make_parts(verifier)


@pytest.fixture
def other_parts(verifier: FamilyVerifier) -> Parts:
    return make_parts(verifier)
