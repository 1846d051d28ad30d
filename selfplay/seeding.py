"""The seeding phase, without gradients: fills the buffers to `buffers.seed_size` before the first step.

Starts from the zero triplet of each kind. In each round the model proposes for the kinds that are short; what the
verifier admits is kept. When the rounds are spent (a model that cannot yet propose) the family's generator fills the
rest, deterministically, and both counts are reported.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from configs.errors import ConfigError
from configs.schema import RunConfig
from selfplay.propose import Proposed, admit, proposal_requests, propose
from selfplay.protocols import Buffers, Generator, Verifier
from tasks.family import Family
from tasks.records import Draft, Kind, Origin, Task
from tasks.seeds import derive_seed

MAX_DRAWS = 50  # per missing task, before a family whose bounds are too narrow for the seed size is named


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedingRound:
    """New tasks per kind by source, and the sizes after the round."""

    number: int
    proposed: dict[Kind, int]
    generated: dict[Kind, int]
    sizes: dict[Kind, int]
    proposals: tuple[Proposed, ...] = ()


def seed_buffers(
    config: RunConfig, family: Family, generator: Generator, verifier: Verifier, buffers: Buffers
) -> Iterator[SeedingRound]:
    """One round after another until every buffer holds `seed_size` tasks."""
    kinds = [Kind(name) for name in config.family.kinds]
    zeros = _build(verifier, [family.zero(kind) for kind in kinds], Origin.ZERO, "zero")
    buffers.add(zeros, [None] * len(zeros))
    for number in range(1, config.buffers.seed_rounds + 1):
        if not _missing(config, buffers):
            break
        yield _proposing_round(config, family, generator, verifier, buffers, number)
    if _missing(config, buffers):
        yield _generating_round(config, family, verifier, buffers, config.buffers.seed_rounds + 1)


def _proposing_round(
    config: RunConfig, family: Family, generator: Generator, verifier: Verifier, buffers: Buffers, number: int
) -> SeedingRound:
    missing = _missing(config, buffers)
    wanted = [
        item
        for kind, count in missing.items()
        for item in proposal_requests(config, family, buffers, kind, number, count, phase="seeding")
    ]
    proposed = admit(config, verifier, buffers, wanted, propose(generator, wanted))
    kept = dict.fromkeys(missing, 0)
    for kind, count in missing.items():
        tasks = [item.admission.task for item in proposed if item.admission.task and item.admission.task.kind is kind]
        fresh = [
            task for task, known in zip(tasks, buffers.known([task.fingerprint for task in tasks]), strict=True) if not known
        ]
        kept[kind] = sum(buffers.add(fresh[:count], [None] * len(fresh[:count])))
    return SeedingRound(number=number, proposed=kept, generated={}, sizes=buffers.sizes(), proposals=tuple(proposed))


def _generating_round(config: RunConfig, family: Family, verifier: Verifier, buffers: Buffers, number: int) -> SeedingRound:
    added = {}
    for kind, count in _missing(config, buffers).items():
        rng = random.Random(derive_seed(config.seed, "seeding", kind))
        added[kind] = 0
        for _ in range(MAX_DRAWS * count):
            tasks = _build(verifier, [family.generate(kind, rng)], Origin.GENERATED, f"generated-{kind}-{added[kind]}")
            added[kind] += sum(buffers.add(tasks, [None] * len(tasks)))
            if added[kind] == count:
                break
        else:
            raise ConfigError(
                f"buffers.seed_size must be at most the {kind} tasks that family.options allow, "
                f"got {config.buffers.seed_size}; lower it or widen the options"
            )
    return SeedingRound(number=number, proposed={}, generated=added, sizes=buffers.sizes())


def _missing(config: RunConfig, buffers: Buffers) -> dict[Kind, int]:
    return {kind: config.buffers.seed_size - size for kind, size in buffers.sizes().items() if size < config.buffers.seed_size}


def _build(verifier: Verifier, drafts: Sequence[Draft], origin: Origin, prefix: str) -> list[Task]:
    return [admission.task for admission in verifier.build(drafts, origin, 0, prefix) if admission.task is not None]
