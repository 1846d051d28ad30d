"""Credits: how far the generators may run ahead of the learner, and where every request is.

    submitted = running + judged + trained + dropped          asserted after every change

    submit ──▶ running ──judge──▶ judged ──train──▶ trained
                  └──────drop(reason)──┴──drop(reason)──▶ dropped

Work for training batch n may be submitted only when n ≤ version + staleness + 1. Batch n is trained by version n − 1, hence
no rollout of it is more than `staleness` versions behind. It counts requests and does not know what they are.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Where the requests are, in one moment."""

    submitted: int
    running: int
    judged: int
    trained: int
    dropped: int

    @property
    def balanced(self) -> bool:
        counts = (self.running, self.judged, self.trained, self.dropped)
        return min(counts) >= 0 and self.submitted == sum(counts)


class Credits:
    """One run's credits; `version` is the learner's newest."""

    def __init__(self, staleness: int, version: int) -> None:
        self._staleness = staleness
        self._version = version
        self._submitted = self._running = self._judged = self._trained = 0
        self._dropped: Counter[str] = Counter()
        self._published = asyncio.Event()

    @property
    def version(self) -> int:
        return self._version

    def oldest(self, batch: int) -> int:
        """The oldest version whose rollouts may be trained on in this batch."""
        return max(0, batch - 1 - self._staleness)

    def admits(self, batch: int) -> bool:
        return batch <= self._version + self._staleness + 1

    async def admission(self, batch: int) -> None:
        """Returns once work for this batch may be submitted."""
        while not self.admits(batch):
            self._published.clear()
            await self._published.wait()

    def publish(self, version: int) -> None:
        """The learner has a newer version: more work may come."""
        assert version > self._version, f"versions only grow, got {version} after {self._version}"
        self._version = version
        self._published.set()

    def submit(self, batch: int, count: int = 1) -> None:
        assert self.admits(batch), f"batch {batch} is not admitted at version {self._version}"
        self._submitted += count
        self._move(running=count)

    def judge(self, count: int = 1) -> None:
        """A verdict or an admission has come: the rollout waits for the learner."""
        self._move(running=-count, judged=count)

    def train(self, count: int) -> None:
        self._move(judged=-count, trained=count)

    def drop(self, reason: str, count: int = 1, *, running: bool = False) -> None:
        """Gives up what was judged, or with `running` what was not answered yet."""
        if count:
            self._dropped[reason] += count
        self._move(running=-count if running else 0, judged=0 if running else -count)

    def account(self) -> Account:
        return Account(
            submitted=self._submitted,
            running=self._running,
            judged=self._judged,
            trained=self._trained,
            dropped=self._dropped.total(),
        )

    def scalars(self) -> dict[str, float]:
        account = self.account()
        names = ("submitted", "running", "judged", "trained", "dropped")
        counts = {f"pipeline/{name}": float(getattr(account, name)) for name in names}
        return counts | {f"pipeline/dropped/{reason}": float(count) for reason, count in self._dropped.items()}

    def _move(self, *, running: int = 0, judged: int = 0, trained: int = 0) -> None:
        self._running += running
        self._judged += judged
        self._trained += trained
        assert self.account().balanced, f"credits must balance, got {self.account()}"
