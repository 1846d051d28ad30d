"""The loop's protocols over Ray actors. The loop cannot tell these from plain objects.

    loop ──generate/load──▶ azr-generator-i     waits for all of them, call_timeout_s each call
         ──admit/grade────▶ azr-verifier-j      the same
         ──sample/add…────▶ azr-buffers         the same
         ──update/publish─▶ azr-learner-r       all ranks get the same call; rank 0's answer counts
    checkpoint's thread ──write──▶ azr-buffers, azr-learner-r   beside the calls above, in a thread of the actor's own
    azr-generator-i ──buckets──▶ object store   filled once by azr-learner-0; lives as long as the publication does

Invariant: how work is split over actors never changes its result or its order. Nothing here is retried except verifying,
which is pure; a dead actor is an error that names it.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from math import inf
from pathlib import Path
from typing import Any

import ray

from actors.buffers import BuffersActor
from actors.fleet import Berth, Fleet
from actors.generator import GeneratorActor
from actors.learner import LearnerActor, LearnerSpec
from actors.verifier import VerifierActor
from buffers.census import Census
from configs.play_sections import ModelSection
from configs.system_sections import GeneratorsSection
from learner.weights import Publication
from tasks.records import Admission, Answer, Draft, Kind, Origin, Proposal, Request, Rollout, Task, Trajectory, Verdict
from telemetry.records import Span


class Remote:
    """What the four have in common: start in two halves, so that all of a run's actors start side by side."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._starting: list[Any] = []

    def ready(self, timeout_s: float) -> list[int]:
        """Waits until every actor has started; their process ids."""
        return [int(pid) for pid in self._fleet.gather(self._starting, "start", timeout_s)]

    def take_busy(self) -> list[tuple[str, Span]]:
        """Actors by name with the calls that they were busy with since this was asked last."""
        return self._fleet.take_busy()

    def close(self) -> None:
        """Ends the actors and their processes. Safe to call again."""
        self._fleet.close()


class RemoteSnapshot:
    """What each actor of a fleet holds of a checkpoint; `write` may be called from another thread."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def write(self) -> None:
        self._fleet.all("write")


class RemoteGenerators(Remote):
    """N engines behind one Generator."""

    def __init__(
        self,
        model_path: str,
        generators: GeneratorsSection,
        model: ModelSection,
        *,
        berths: Sequence[Berth],
        run: str,
        call_timeout_s: float,
    ) -> None:
        super().__init__(Fleet(GeneratorActor, berths, run, call_timeout_s))
        call = (model_path, generators, model, call_timeout_s)
        self._starting = self._fleet.submit("start", [call] * len(berths))
        self._version: int | None = None

    def generate(self, requests: Sequence[Request]) -> list[Rollout]:
        rollouts: list[Rollout] = self._fleet.split("generate", requests)
        stale = next((rollout for rollout in rollouts if self._version not in (None, rollout.policy_version)), None)
        if stale is not None:
            raise RuntimeError(
                f"{stale.sampler_id} sampled with version {stale.policy_version}, version {self._version} is published"
            )
        return rollouts

    def load(self, publication: Publication) -> None:
        """All engines load side by side, and each must say that it serves exactly this version and fingerprint."""
        manifest = publication.manifest
        self._version = manifest.version
        served = self._fleet.all("load", publication)
        for name, answer in zip(self._fleet.names, served, strict=True):
            if tuple(answer) != (manifest.version, manifest.fingerprint):
                raise RuntimeError(f"{name} serves {answer} after loading ({manifest.version}, {manifest.fingerprint})")


class RemoteVerifiers(Remote):
    """M verifiers behind one Verifier."""

    def __init__(self, *, berths: Sequence[Berth], run: str, call_timeout_s: float) -> None:
        super().__init__(Fleet(VerifierActor, berths, run, call_timeout_s))
        self._starting = self._fleet.submit("start", [()] * len(berths))

    def admit(self, proposals: Sequence[Proposal]) -> list[Admission]:
        return self._fleet.split("admit", proposals)

    def build(self, drafts: Sequence[Draft], origin: Origin, step: int, prefix: str) -> list[Admission]:
        """On one verifier: the ids count through the whole list."""
        admissions: list[Admission] = self._fleet.first("build", list(drafts), origin, step, prefix)
        return admissions

    def grade(self, answers: Sequence[Answer]) -> list[Verdict]:
        return self._fleet.split("grade", answers)


class RemoteBuffers(Remote):
    """The one buffers actor."""

    def __init__(self, *, berth: Berth, run: str, call_timeout_s: float) -> None:
        super().__init__(Fleet(BuffersActor, [berth], run, call_timeout_s, beside=("write",)))
        self._starting = self._fleet.submit("start", [()])

    def sample(self, kind: Kind, count: int, seed: int, hardest: float = inf) -> list[Task]:
        tasks: list[Task] = self._fleet.first("sample", kind, count, seed, hardest)
        return tasks

    def failed(self, kind: Kind, count: int, seed: int, rate: float, hardest: float = inf) -> list[Task]:
        tasks: list[Task] = self._fleet.first("failed", kind, count, seed, rate, hardest)
        return tasks

    def frontier(self, kind: Kind, count: int, seed: int, hardest: float = inf) -> list[Task]:
        tasks: list[Task] = self._fleet.first("frontier", kind, count, seed, hardest)
        return tasks

    def learnable(self, newest: int) -> dict[Kind, tuple[int, int]]:
        learnable: dict[Kind, tuple[int, int]] = self._fleet.first("learnable", newest)
        return learnable

    def references(self, kind: Kind, draws: int, count: int, seed: int) -> list[list[Task]]:
        references: list[list[Task]] = self._fleet.first("references", kind, draws, count, seed)
        return references

    def programs(self, count: int, seed: int) -> list[str]:
        programs: list[str] = self._fleet.first("programs", count, seed)
        return programs

    def known(self, fingerprints: Sequence[str]) -> list[bool]:
        known: list[bool] = self._fleet.first("known", list(fingerprints))
        return known

    def add(self, tasks: Sequence[Task], solve_rates: Sequence[float | None]) -> list[bool]:
        added: list[bool] = self._fleet.first("add", list(tasks), list(solve_rates))
        return added

    def record(self, solve_rates: Mapping[str, float]) -> None:
        self._fleet.first("record", dict(solve_rates))

    def census(self) -> dict[Kind, Census]:
        census: dict[Kind, Census] = self._fleet.first("census")
        return census

    def sizes(self) -> dict[Kind, int]:
        sizes: dict[Kind, int] = self._fleet.first("sizes")
        return sizes

    def snapshot(self, path: Path) -> "RemoteSnapshot":
        self._fleet.all("snapshot", path)
        return RemoteSnapshot(self._fleet)

    def load(self, path: Path) -> None:
        self._fleet.first("load", path)


class RemoteLearner(Remote):
    """The learner's ranks behind one Learner. A checkpoint path must be on storage that the ranks' nodes share."""

    def __init__(
        self, spec: LearnerSpec, *, berths: Sequence[Berth], run: str, call_timeout_s: float, start_timeout_s: float
    ) -> None:
        super().__init__(Fleet(LearnerActor, berths, run, call_timeout_s, beside=("write",)))
        try:
            master = self._fleet.gather(self._fleet.submit("address", [()]), "address", start_timeout_s)[0]
        except BaseException:
            self.close()
            raise
        self._starting = self._fleet.submit("start", [(spec, rank, master) for rank in range(len(berths))])

    def update(self, batch: Sequence[Trajectory], lr: float) -> dict[str, float]:
        shared = ray.put(list(batch))
        scalars: dict[str, float] = self._fleet.all("update", shared, lr)[0]
        return scalars

    def publish(self, version: int) -> Publication:
        """A publication whose buckets are object references; they are freed when it is dropped."""
        publication: Publication = self._fleet.all("publish", version)[0]
        return publication

    def snapshot(self, path: Path) -> "RemoteSnapshot":
        self._fleet.all("snapshot", path)
        return RemoteSnapshot(self._fleet)

    def load(self, path: Path) -> None:
        self._fleet.all("load", path)


def started(builders: Sequence[Callable[[], Remote]], timeout_s: float) -> list[Any]:
    """Builds all parts, waits for all of them, and closes every one of them when one fails."""
    parts: list[Remote] = []
    with ExitStack() as undo:
        for build in builders:
            parts.append(build())
            undo.callback(parts[-1].close)
        for part in parts:
            part.ready(timeout_s)
        undo.pop_all()
    return parts
