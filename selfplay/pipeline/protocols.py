"""The parts as the pipeline knows them: those of the synchronous loop, with a generator that answers one request at a time.

Everything here is called from the pipeline's event loop and returns at once; what takes time is a future.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from learner.weights import Publication
from selfplay.protocols import Buffers, Learner, Telemetry, Verifier
from tasks.records import Request, Rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What is known of one generator, times in all since it began.

    swaps: how often it took new weights; drain_s: for how long they waited until it was ready to take them, while it went
    on with what was running; pause_s: for how long it sampled nothing, because it loaded them.
    """

    name: str
    version: int
    alive: bool = True
    in_flight: int = 0
    swaps: int = 0
    drain_s: float = 0.0
    pause_s: float = 0.0


class StreamingGenerator(Protocol):
    """One generator, or a fleet of them."""

    def submit(self, request: Request, oldest: int) -> asyncio.Future[Rollout]:
        """The rollout, sampled from its first token on with version `oldest` or a newer one.

        The future fails with GeneratorDied when its generator is gone, with RequestLost when nobody is left to try.
        """

    def load(self, publication: Publication) -> None:
        """Serve this version as soon as you are ready to; a newer publication replaces one that still waits."""

    def health(self) -> Sequence[Health]:
        """As of the last answers; asks nobody."""

    async def serve(self) -> None:
        """Works until cancelled; raises what ends the run."""


@runtime_checkable
class Revivable(Protocol):
    """A generator that can be made anew once it has died."""

    def kill(self, why: str) -> None:
        """Gives it up: what it holds, and `serve`, fail with GeneratorDied."""

    async def revive(self) -> None:
        """Makes it anew, without weights. Raises GeneratorDied where it is not made anew any more."""


class GeneratorDied(Exception):
    """A generator's process is gone. Its requests are safe to repeat: each has its own seed."""


class RequestLost(Exception):
    """A request was given up; `reason` is what its rollout is dropped for."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamingParts:
    """What the pipeline drives."""

    generator: StreamingGenerator
    verifier: Verifier
    buffers: Buffers
    learner: Learner
    telemetry: Telemetry
