"""Bootstrap intervals for answers that several runs gave to the same items. Pure arithmetic; reads no files.

Owns the resampling. Invariant: the draws depend on the shape alone, so equal answers get equal intervals, and what is
compared is compared under the same draws. Rows are runs (seeds), columns are items.

Each of B resamples draws I items with replacement, the same for all runs, and R runs, the same for all items. An interval
is the central 95 % of the resampled means. With few runs it is somewhat too narrow: R draws from R runs know only
(R − 1) / R of the variance between runs.

Shape letters: R runs, I items, B resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from telemetry.intervals import wilson

RESAMPLES = 10_000
SEED = 0
CENTRAL_95 = (0.025, 0.975)
Answers = Sequence[Sequence[int]] | npt.NDArray[np.int_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean with its 95 % interval; shares, not per cent."""

    mean: float
    low: float
    high: float


def bootstrap_mean(values_RI: Answers, *, over_runs: bool = True) -> Estimate:
    """The mean of whole numbers by run and item. `over_runs=False`: only items are drawn anew, the runs stay as they are.

    For a paired difference the values are the differences, item by item. ValueError when there are none.
    """
    values = np.asarray(values_RI, np.float32)  # sums of small whole numbers are exact in it
    if values.ndim != 2 or not values.size:
        raise ValueError(f"values must be runs by items, at least one of each, got shape {values.shape}; leave the suite out")
    num_runs, num_items = values.shape
    means_BR = (_item_counts(num_items) @ values.T).astype(np.float64) / num_items
    if over_runs:
        means_BR = np.take_along_axis(means_BR, _run_draws(num_runs), axis=1)
    low, high = np.quantile(means_BR.mean(1), CENTRAL_95)
    return Estimate(mean=float(values.mean(dtype=np.float64)), low=float(low), high=float(high))


def accuracy(rights_RI: Answers) -> Estimate:
    """The share right. Where all answers are alike the bootstrap sees no spread, and the interval is Wilson's over I items."""
    estimate = bootstrap_mean(rights_RI)
    if 0 < estimate.mean < 1:
        return estimate
    num_items = len(rights_RI[0])
    low, high = wilson(round(estimate.mean * num_items), num_items)
    return Estimate(mean=estimate.mean, low=low, high=high)


@lru_cache(maxsize=4)
def _item_counts(num_items: int) -> npt.NDArray[np.float32]:
    """counts_BI: how often each resample drew each item."""
    rng = np.random.default_rng(SEED)
    counts_BI = np.empty((RESAMPLES, num_items), np.float32)
    for row_I in counts_BI:
        row_I[:] = np.bincount(rng.integers(0, num_items, num_items), minlength=num_items)
    return counts_BI


@lru_cache(maxsize=16)
def _run_draws(num_runs: int) -> npt.NDArray[np.int64]:
    """draws_BR: the runs of each resample, independent of its items."""
    return np.random.default_rng((SEED, 1)).integers(0, num_runs, (RESAMPLES, num_runs))
