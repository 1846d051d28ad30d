"""The Ray shell of a generator engine. It adds the way weights arrive (object references) and nothing else."""

import os
from collections.abc import Sequence
from dataclasses import replace

from actors.deadline import wait
from actors.engines import Engine, make_engine
from configs.play_sections import ModelSection
from configs.system_sections import GeneratorsSection
from learner.weights import Publication
from tasks.records import Request, Rollout


class GeneratorActor:
    """One engine in one process. `start` does the work, so that its errors arrive as they are."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._engine: Engine | None = None
        self._timeout_s = 0.0

    def __repr__(self) -> str:
        return self._name  # Ray's log prefix

    def start(self, model_path: str, generators: GeneratorsSection, model: ModelSection, timeout_s: float) -> int:
        """Builds and warms the engine; returns this process' id."""
        self._timeout_s = timeout_s
        self._engine = make_engine(model_path, generators, model, self._name)
        return os.getpid()

    def generate(self, requests: Sequence[Request]) -> list[Rollout]:
        return self._started().generate(requests)

    def load(self, publication: Publication) -> tuple[int, str]:
        """Fetches the buckets (zero-copy views of the object store), loads them; returns what is served from now on."""
        engine = self._started()
        sender = ["azr-learner-0"] * len(publication.buckets)
        buckets = wait(publication.buckets, self._timeout_s, f"{self._name} fetching weights", sender)
        engine.load(replace(publication, buckets=tuple(buckets)))
        return engine.version, engine.fingerprint

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()

    def _started(self) -> Engine:
        if self._engine is None:
            raise RuntimeError(f"{self._name} was not started")
        return self._engine
