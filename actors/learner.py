"""The Ray shell of one learner rank. It adds the rank's environment and hands out published weights bucket by bucket."""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray

from configs.system_sections import LearnerSection
from learner.weights import Publication
from tasks.records import Trajectory

if TYPE_CHECKING:
    from learner.learner import Learner
    from learner.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnerSpec:
    """What every rank is built from."""

    model_path: str
    config: LearnerSection
    dtype: str
    seed: int
    timeout_s: float


class LearnerActor:
    """All ranks get every call with the same arguments; rank 0's answer is the learner's."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._rank = 0
        self._learner: Learner | None = None
        self._snapshot: Snapshot | None = None
        self._buckets: dict[int, Any] | None = None
        self._rooms: list[Any] = []  # the buckets' memory: what was handed over is a copy in the object store

    def __repr__(self) -> str:
        return self._name

    def address(self) -> str:
        """host:port on this node for the ranks to meet at (asked of rank 0)."""
        node_address: Any = ray.util.get_node_ip_address
        host = str(node_address())
        with socket.socket() as probe:
            probe.bind((host, 0))
            return f"{host}:{probe.getsockname()[1]}"

    def start(self, spec: LearnerSpec, rank: int, master: str) -> int:
        """Joins the process group and builds the rank; returns this process' id."""
        host, port = master.rsplit(":", 1)
        # Ray shows each rank its own GPU only, so the local rank is 0 everywhere.
        os.environ.update(
            RANK=str(rank), LOCAL_RANK="0", WORLD_SIZE=str(spec.config.world_size), MASTER_ADDR=host, MASTER_PORT=port
        )
        from learner.learner import Learner

        self._rank = rank
        self._learner = Learner(
            spec.model_path,
            spec.config,
            dtype=spec.dtype,
            seed=spec.seed,
            rank=rank,
            world_size=spec.config.world_size,
            master=master,
            timeout_s=spec.timeout_s,
        )
        return os.getpid()

    def update(self, batch: Sequence[Trajectory], lr: float) -> dict[str, float]:
        return self._started().update(batch, lr)

    def publish(self, version: int) -> Publication:
        """Rank 0 holds the buckets until they are asked for; the publication carries their numbers."""
        publication = self._started().publish(version, self._rooms)
        if self._rank != 0:
            return replace(publication, buckets=())
        self._buckets = dict(enumerate(publication.buckets))
        return replace(publication, buckets=tuple(self._buckets))

    def bucket(self, number: int) -> Any:
        """Hands it over: as an answer it is put into the object store once, and belongs to who asked."""
        assert self._buckets is not None, f"{self._name} has published nothing"
        return self._buckets.pop(number)

    def handed(self) -> bool:
        """Whether all buckets of a publication were; to be asked after them."""
        return self._buckets == {}

    def snapshot(self, path: Path) -> None:
        """Keeps it here until `write`."""
        self._snapshot = self._started().snapshot(path)

    def write(self) -> None:
        """Runs beside the other calls."""
        assert self._snapshot is not None, f"{self._name} has no snapshot to write"
        snapshot, self._snapshot = self._snapshot, None
        snapshot.write()

    def load(self, path: Path) -> None:
        self._started().load(path)

    def pid(self) -> int:
        return os.getpid()

    def close(self) -> None:
        """The process group ends with the process."""

    def _started(self) -> "Learner":
        if self._learner is None:
            raise RuntimeError(f"{self._name} was not started")
        return self._learner
