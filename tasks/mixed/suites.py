"""Held-out suites and fixed training sets of the mixed family: half arithmetic, a quarter counting, a quarter comparison.

Both are drawn with fixed seeds, never a run's. The deduction suite and the training sets are the same for all options: the
arithmetic half of the suite is the journals' problems, and lists are those of the easy range.
"""

import random
from collections.abc import Mapping, Sequence

from tasks.arithmetic.datasets import DATASET_SEED, SMALL_MAX, plain_set
from tasks.arithmetic.generate import HELDOUT_SEED, JOURNAL_MAX, draw_distinct
from tasks.arithmetic.heldout import HeldOut
from tasks.mixed.generate import random_list_draft
from tasks.mixed.options import MixedOptions
from tasks.mixed.programs import Sort
from tasks.records import Draft, Kind

LISTS = (Sort.COUNTING, Sort.COMPARISON)
HELDOUT_LISTS = 100  # of each sort and kind
HELDOUT_ARITHMETIC = 2 * HELDOUT_LISTS  # of each kind
SET_SIZE = 500
NOTHING = HeldOut({})


def heldout_suites(options: MixedOptions, arithmetic: Mapping[str, Sequence[Draft]]) -> dict[str, tuple[Draft, ...]]:
    """By suite name, one for each kind; `arithmetic`: the suites of the arithmetic family."""
    return {kind.value: (*arithmetic[kind.value][:HELDOUT_ARITHMETIC], *_heldout_lists(kind, options)) for kind in Kind}


def _heldout_lists(kind: Kind, options: MixedOptions) -> list[Draft]:
    bounds = _easy(JOURNAL_MAX) if kind is Kind.DEDUCTION else options
    seed = f"{HELDOUT_SEED}-{kind}"
    return [draft for sort in LISTS for draft in _distinct(kind, sort, HELDOUT_LISTS, bounds, f"{seed}-{sort}", NOTHING)]


def mixed_datasets(heldout: HeldOut) -> dict[str, tuple[Draft, ...]]:
    """`mixed` has numbers from 0 to 20, `mixed-small` from 0 to 10; both are of one size and in random order."""
    return {"mixed": _mixed_set(JOURNAL_MAX, heldout), "mixed-small": _mixed_set(SMALL_MAX, heldout)}


def _mixed_set(max_operand: int, heldout: HeldOut) -> tuple[Draft, ...]:
    drafts = list(plain_set(SET_SIZE // 2, max_operand, heldout))
    for sort in LISTS:
        seed = f"{DATASET_SEED}-{sort}"
        drafts += _distinct(Kind.DEDUCTION, sort, SET_SIZE // 4, _easy(max_operand), seed, heldout)
    random.Random(DATASET_SEED).shuffle(drafts)
    return tuple(drafts)


def _easy(max_operand: int) -> MixedOptions:
    return MixedOptions(easy_share=1.0, easy_max=max_operand)


def _distinct(kind: Kind, sort: Sort, count: int, options: MixedOptions, seed: str, heldout: HeldOut) -> tuple[Draft, ...]:
    rng = random.Random(seed)
    drafts = draw_distinct(count, lambda: random_list_draft(kind, sort, options, rng), lambda draft: draft not in heldout)
    if len(drafts) < count:
        raise ValueError(
            f"easy_max and max_operand must leave room for {count} distinct {sort} tasks of {kind}, got {options.easy_max} "
            f"and {options.max_operand}; raise them, or lower easy_share ({options.easy_share})"
        )
    return drafts
