"""The loop's protocols over Ray actors. The loop cannot tell these from plain objects.

    loop ──generate/load──▶ azr-generator-i     waits for all of them, call_timeout_s each call
         ──admit/grade────▶ azr-verifier-j      the same
         ──sample/add…────▶ azr-buffers         the same
         ──update/publish─▶ azr-learner-r       all ranks get the same call; rank 0's answer counts
    checkpoint's thread ──write──▶ azr-buffers, azr-learner-r   beside the calls above, in a thread of the actor's own
    azr-generator-i ──buckets──▶ object store   filled once by azr-learner-0; lives as long as the publication does

Invariants: how work is split over actors never changes its result or its order. Nor does the loss of an actor, which is
made anew as it was: verifiers as they are, a generator with its weights, the buffers and the ranks from the newest
checkpoint with what they were told since; only the loss of too many is an error, which names them. The buckets are the
driver's, not azr-learner-0's: they outlive its process, and once they have come to the driver's node also its own.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

from actors.buffers import BuffersActor
from actors.deadline import put
from actors.fleet import Berth, Fleet, Life
from actors.generator import GeneratorActor
from actors.learner import LearnerActor, LearnerSpec
from actors.mending import NONE, Mending
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
        try:
            self._starting = self._begin(fleet, range(len(fleet)))
        except BaseException:
            self.close()
            raise

    def _begin(self, fleet: Fleet, whom: Sequence[int]) -> list[Any]:
        """Asks these actors to start; references to their answers, which are process ids."""
        return fleet.submit("start", [()] * len(whom), whom)

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
    """What each actor of a fleet holds of a checkpoint; may be used from another thread."""

    def __init__(self, fleet: Fleet, path: Path) -> None:
        self._fleet, self._path = fleet, path

    def write(self) -> None:
        self._fleet.all("write")

    def kept(self, partial: Path, final: Path) -> None:
        """What was written under `partial` lies under `final` now: lost actors begin there."""
        self._fleet.kept(self._path, final.absolute() / self._path.relative_to(partial.absolute()))


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
        mending: Mending = NONE,
    ) -> None:
        self._start = (model_path, generators, model, call_timeout_s)
        self._version: int | None = None
        life = Life(begin=self._begin, changes=("load",), mending=mending)
        super().__init__(Fleet(GeneratorActor, berths, run, call_timeout_s, life=life))

    def _begin(self, fleet: Fleet, whom: Sequence[int]) -> list[Any]:
        return fleet.submit("start", [self._start] * len(whom), whom)

    def generate(self, requests: Sequence[Request]) -> list[Rollout]:
        rollouts: list[Rollout] = self._fleet.split("generate", requests, lambda request: request.prompt)
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

    def __init__(self, *, berths: Sequence[Berth], run: str, call_timeout_s: float, mending: Mending = NONE) -> None:
        life = Life(begin=self._begin, mending=mending)
        super().__init__(Fleet(VerifierActor, berths, run, call_timeout_s, life=life))

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

    def __init__(self, *, berth: Berth, run: str, call_timeout_s: float, mending: Mending = NONE) -> None:
        life = Life(begin=self._begin, changes=("load", "add", "record", "snapshot"), mending=mending)
        super().__init__(Fleet(BuffersActor, [berth], run, call_timeout_s, beside=("write",), life=life))

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
        return RemoteSnapshot(self._fleet, path)

    def load(self, path: Path) -> None:
        self._fleet.first("load", path)


class RemoteLearner(Remote):
    """The learner's ranks behind one Learner. A checkpoint path must be on storage that the ranks' nodes share."""

    def __init__(
        self,
        spec: LearnerSpec,
        *,
        berths: Sequence[Berth],
        run: str,
        call_timeout_s: float,
        start_timeout_s: float,
        mending: Mending = NONE,
    ) -> None:
        self._spec, self._start_timeout_s = spec, start_timeout_s
        self._newest: list[Any] = []
        life = Life(begin=self._begin, changes=("load", "update", "snapshot"), together=True, mending=mending)
        super().__init__(Fleet(LearnerActor, berths, run, call_timeout_s, beside=("write",), life=life))

    def _begin(self, fleet: Fleet, whom: Sequence[int]) -> list[Any]:
        """All of them: the ranks meet at an address of rank 0's."""
        master = fleet.gather(fleet.submit("address", [()]), "address", self._start_timeout_s)[0]
        return fleet.submit("start", [(self._spec, rank, master) for rank in whom], whom)

    def update(self, batch: Sequence[Trajectory], lr: float) -> dict[str, float]:
        shared = put(list(batch), "the batch of an update")  # kept until a checkpoint holds what it did
        scalars: dict[str, float] = self._fleet.all("update", shared, lr)[0]
        return scalars

    def publish(self, version: int) -> Publication:
        """A publication whose buckets are object references; they are freed when it is dropped and a newer one is there."""
        while True:
            publication: Publication = self._fleet.all("publish", version)[0]
            count = len(publication.buckets)
            buckets = self._fleet.submit("bucket", [(number,) for number in range(count)], [0] * count)
            if self._fleet.first("handed"):  # else it was lost in between, and the new one has published nothing yet
                # Fetched beside the run, and kept: were they on the learner's node alone, nobody could start after its loss.
                self._newest = [bucket.future() for bucket in buckets]
                return replace(publication, buckets=tuple(buckets))

    def snapshot(self, path: Path) -> "RemoteSnapshot":
        self._fleet.all("snapshot", path)
        return RemoteSnapshot(self._fleet, path)

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
