"""One batch of the model while it is under way: the double of selfplay.pipeline.batch, with counts for what has come.

Proposals of a kind are read in their own order, the first `num_fresh` admitted ones are solved as they are read, and a kind
is topped up from its buffer, which always has enough, once no further new one will be solved. Nothing is ever lost.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from selfplay.simulation.latencies import Work
from tasks.records import Kind


@dataclass(slots=True)
class Proposing:
    """The proposals of one kind; `admitted[slot]` is drawn when the batch is opened."""

    work: Work
    admitted: list[bool]
    came: list[bool] = field(init=False)
    num_read: int = 0
    num_new: int = 0
    settled: bool = False

    def __post_init__(self) -> None:
        self.came = [False] * self.work.num_proposals

    def unread(self) -> int:
        """How many may be read now."""
        end = self.num_read
        while end < len(self.came) and self.came[end]:
            end += 1
        return end - self.num_read

    def read(self, count: int) -> int:
        """How many tasks are to be solved because of them."""
        before = min(self.num_new, self.work.num_fresh)
        self.num_new += sum(self.admitted[self.num_read : self.num_read + count])
        self.num_read += count
        return min(self.num_new, self.work.num_fresh) - before

    def top_up(self) -> int:
        """Buffered tasks to be solved, once; 0 as long as new ones may come."""
        if self.settled or (self.num_read < len(self.came) and self.num_new < self.work.num_fresh):
            return 0
        self.settled = True
        return self.work.num_tasks - min(self.num_new, self.work.num_fresh)


@dataclass(slots=True)
class ModelBatch:
    number: int
    kinds: Mapping[Kind, Proposing]
    num_open: int = 0  # attempts without a verdict
    staleness: list[int] = field(default_factory=list)  # of each rollout, by its first token

    @property
    def is_complete(self) -> bool:
        return not self.num_open and all(kind.settled and kind.num_read == len(kind.came) for kind in self.kinds.values())

    def came(self, version: int) -> None:
        self.staleness.append(self.number - 1 - version)
