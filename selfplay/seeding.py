"""The seeding phase, without gradients: fills the buffers to `buffers.seed_size` before the first step.

Starts from the zero triplet of each kind. In each round the model proposes for the kinds that are short, induction after the
others; what the verifier admits is kept. When the rounds are spent (a model that cannot yet propose) the family's generator
fills the rest, deterministically, and both counts are reported.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from configs.errors import ConfigError
from configs.schema import RunConfig
from selfplay.propose import Proposed, admit, proposal_requests, propose
from selfplay.protocols import Buffers, Generator, Verifier
from tasks.family import Family
from tasks.records import Draft, Kind, Origin, Task
from tasks.seeds import derive_seed

MAX_DRAWS = 50  # of all that is missing, before a family whose bounds are too narrow for the seed size is named


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
    """One round after another until every buffer holds `seed_size` tasks; in mode grpo, the data set and nothing else."""
    if config.mode == "grpo":
        yield _dataset_round(config, family, verifier, buffers)
        return
    kinds = [Kind(name) for name in config.family.kinds]
    zeros = _build(verifier, [family.zero(kind) for kind in kinds], Origin.ZERO, "zero")
    buffers.add(zeros, [None] * len(zeros))
    numbers = count(1)
    # Induction comes last: its proposers are shown the programs that the other kinds were seeded with.
    for group in ([kind for kind in kinds if kind is not Kind.INDUCTION], [kind for kind in kinds if kind is Kind.INDUCTION]):
        for _ in range(config.buffers.seed_rounds):
            if missing := _missing(config, buffers, group):
                yield _proposing_round(config, family, generator, verifier, buffers, missing, next(numbers))
        if missing := _missing(config, buffers, group):
            yield _generating_round(config, family, verifier, buffers, missing, next(numbers))


def _proposing_round(
    config: RunConfig,
    family: Family,
    generator: Generator,
    verifier: Verifier,
    buffers: Buffers,
    missing: Mapping[Kind, int],
    number: int,
) -> SeedingRound:
    wanted = [
        item
        for kind, wanting in missing.items()
        for item in proposal_requests(config, family, buffers, kind, number, wanting, phase="seeding")
    ]
    proposed = admit(config, verifier, buffers, wanted, propose(generator, wanted))
    kept = dict.fromkeys(missing, 0)
    for kind, wanting in missing.items():
        tasks = [item.admission.task for item in proposed if item.admission.task and item.admission.task.kind is kind]
        fresh = [
            task for task, known in zip(tasks, buffers.known([task.fingerprint for task in tasks]), strict=True) if not known
        ]
        kept[kind] = sum(buffers.add(fresh[:wanting], [None] * len(fresh[:wanting])))
    return SeedingRound(number=number, proposed=kept, generated={}, sizes=buffers.sizes(), proposals=tuple(proposed))


def _generating_round(
    config: RunConfig, family: Family, verifier: Verifier, buffers: Buffers, missing: Mapping[Kind, int], number: int
) -> SeedingRound:
    added = dict.fromkeys(missing, 0)
    for kind, wanting in missing.items():
        rng = random.Random(derive_seed(config.seed, "seeding", kind))
        for draw in range(MAX_DRAWS):
            drafts = [family.generate(kind, rng) for _ in range(wanting - added[kind])]
            tasks = _build(verifier, drafts, Origin.GENERATED, f"generated-{kind}-{draw}")
            added[kind] += sum(buffers.add(tasks, [None] * len(tasks)))
            if added[kind] == wanting:
                break
        else:
            raise ConfigError(
                f"buffers.seed_size must be at most the {kind} tasks that family.options allow, "
                f"got {config.buffers.seed_size}; lower it or widen the options"
            )
    return SeedingRound(number=number, proposed={}, generated=added, sizes=buffers.sizes())


def _dataset_round(config: RunConfig, family: Family, verifier: Verifier, buffers: Buffers) -> SeedingRound:
    sets = family.datasets()
    if config.dataset not in sets:
        raise ConfigError(f"dataset must be one of family {family.name}'s ({', '.join(sets) or 'none'}), got {config.dataset}")
    drafts = [draft for draft in sets[config.dataset] if draft.kind in config.family.kinds]
    tasks = _build(verifier, drafts, Origin.GENERATED, config.dataset)
    buffers.add(tasks, [None] * len(tasks))
    sizes = buffers.sizes()
    empty = [kind for kind, size in sizes.items() if size == 0]
    if empty:
        raise ConfigError(
            f"family.kinds must be kinds of data set {config.dataset}, got {', '.join(empty)}, of which it has none"
        )
    return SeedingRound(number=1, proposed={}, generated=sizes, sizes=sizes)


def _missing(config: RunConfig, buffers: Buffers, kinds: Sequence[Kind]) -> dict[Kind, int]:
    """How many tasks each of these kinds is short of, where it is."""
    sizes = buffers.sizes()
    return {kind: config.buffers.seed_size - sizes[kind] for kind in kinds if sizes[kind] < config.buffers.seed_size}


def _build(verifier: Verifier, drafts: Sequence[Draft], origin: Origin, prefix: str) -> list[Task]:
    return [admission.task for admission in verifier.build(drafts, origin, 0, prefix) if admission.task is not None]
