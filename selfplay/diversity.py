"""How varied a step's new tasks are: entropies over traits, beside the buffer's and the seeds', and the rarity of a task. Pure.

    entropy      H = −Σ p log p over the values that a trait takes among the step's new tasks of a kind, in nats
    normalised   H over the largest that so many tasks with the values known so far could have
    of_seeds     H over what as many draws from the seeds would have on average; 1 where nothing was lost

A step's tasks are few, and the entropy of a few draws is lower than that of what they are drawn from; that is why a step
is compared with as many draws, never with the seeds' own entropy. Does not: count what the buffers hold (buffers.census).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import log

import numpy as np

from buffers.census import ALL, Census, Traits
from tasks.records import Kind, Task

SeedCounts = Mapping[str, Sequence[int]]  # by kind/trait: how many seeds had each value


def entropy(counts: Iterable[int]) -> float:
    """H in nats of the shares of these counts; 0 for none."""
    counts_V = np.array([count for count in counts if count], np.float64)
    if not len(counts_V):
        return 0.0
    shares_V = counts_V / counts_V.sum()
    return abs(float((shares_V * np.log(shares_V)).sum()))


def expected_entropy(counts: Sequence[int], draws: int) -> float:
    """E[H] in nats of `draws` independent draws from the shares of these counts.

    E[H] = −Σ_v Σ_j Binomial(j; n, p_v) · (j/n) log(j/n), exact, since each value's count is binomial by itself.
    """
    counts_V = np.array([count for count in counts if count], np.float64)
    if len(counts_V) < 2 or draws < 1:
        return 0.0
    shares_V1 = (counts_V / counts_V.sum())[:, None]
    log_factorials = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, draws + 1)))))
    drawn_J = np.arange(1, draws + 1)
    choices_J = log_factorials[draws] - log_factorials[drawn_J] - log_factorials[draws - drawn_J]
    chances_VJ = np.exp(choices_J + drawn_J * np.log(shares_V1) + (draws - drawn_J) * np.log1p(-shares_V1))
    terms_J = drawn_J / draws * np.log(drawn_J / draws)
    return abs(float((chances_VJ @ terms_J).sum()))


def rarity(count: int, total: int) -> float:
    """1 where none of `total` tasks is like this one, 0 where all are: 1 − log(1 + count) / log(1 + total)."""
    return 1.0 - log(1 + count) / log(1 + total) if total else 1.0


def rarity_among(named: Mapping[str, str], held: Census) -> float:
    """Of a task's traits taken together, against everything that the buffer of its kind holds."""
    return rarity(held.traits.get(ALL, {}).get(named[ALL], 0), held.size)


def seed_counts(census: Mapping[Kind, Census]) -> dict[str, list[int]]:
    """What to remember of the seeds, as `diversity_scalars` takes it: the values' names do not matter."""
    return {
        f"{kind}/{name}": sorted(counts.values(), reverse=True)
        for kind, held in census.items()
        for name, counts in held.traits.items()
    }


def seed_scalars(seeds: SeedCounts) -> dict[str, float]:
    """The entropies of the seeds themselves."""
    return {f"diversity/{name}/seeds": entropy(counts) for name, counts in seeds.items()}


def diversity_scalars(kind: Kind, tasks: Sequence[Task], traits: Traits, held: Census, seeds: SeedCounts) -> dict[str, float]:
    """`diversity/{kind}/…` of a step's new tasks of one kind; `held`: its buffer before they came. Empty without tasks."""
    if not tasks:
        return {}
    named = [traits(task) for task in tasks]
    scalars = {f"diversity/{kind}/rarity": sum(rarity_among(each, held) for each in named) / len(named)}
    for name in named[0]:
        values = Counter(each[name] for each in named)
        known = len(values.keys() | held.traits.get(name, {}).keys())
        scalars |= _entropies(f"diversity/{kind}/{name}", values, known, seeds.get(f"{kind}/{name}", ()))
    return scalars


def _entropies(prefix: str, values: Counter[str], known: int, seeds: Sequence[int]) -> dict[str, float]:
    """A trait that could take only one value has no normalised entropy, and seeds that were all alike no ratio."""
    total = values.total()
    found = entropy(values.values())
    scalars = {f"{prefix}/entropy": found}
    if min(total, known) > 1:
        scalars[f"{prefix}/normalised"] = found / log(min(total, known))
    expected = expected_entropy(seeds, total)
    if expected > 0:
        scalars[f"{prefix}/of_seeds"] = found / expected
    return scalars
