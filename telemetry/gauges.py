"""Scalars as gauges: `reward/deduction/solve` is `azr_reward{kind="deduction", role="solve"}`. Pure.

Invariant: a gauge's labels follow from its name alone, as Prometheus wants; a scalar over all kinds has `all` for its label.
"""

import math
import re
from dataclasses import dataclass

from telemetry.records import StepRecord

PREFIX = "azr_"
ALL = "all"
KINDS = ("deduction", "abduction", "induction")
# What the parts behind a group mean; groups that are not here have a kind, or no label at all.
LABELS = {
    "reward": ("kind", "role"),
    "reward_part": ("kind", "part"),
    "truncated": ("kind", "role"),
    "length": ("kind", "role"),
    "refusal": ("kind", "reason"),
    "zero_std": ("kind",),
    "time": ("stage",),
    "counts/dropped": ("reason",),
}
RENAMED = {"time": "stage_seconds"}
SHARES = {"time/unattributed": "unattributed_share"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """One value of one gauge; `labels` in a fixed order."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


def gauges(record: StepRecord) -> list[Gauge]:
    """Of every scalar that is a number, and of the clocks."""
    clocks = {"global_step": record.global_step, "step": record.step, "policy_version": record.version}
    named = {**record.scalars, **clocks}
    return [gauge(name, float(value)) for name, value in named.items() if math.isfinite(value)]


def gauge(scalar: str, value: float) -> Gauge:
    if scalar in SHARES:
        return _gauge([SHARES[scalar]], {}, value)
    first, *rest = scalar.split("/")
    if first == "eval":  # a suite's name may have slashes of its own
        return _gauge([first, rest[-1]], {"suite": "/".join(rest[:-1])}, value)
    if first == "alarm":
        return _gauge([first], {"alarm": "/".join(rest)}, value)
    if first == "diversity" and len(rest) == 3:
        return _gauge([first, rest[2]], {"kind": rest[0], "trait": rest[1]}, value)
    if first == "counts" and rest[:1] == ["dropped"]:
        first, rest = "counts/dropped", rest[1:]
    keys = LABELS.get(first) or (("kind",) if rest and rest[0] in KINDS else ())
    labels = {key: rest[place] if place < len(rest) else ALL for place, key in enumerate(keys)}
    return _gauge([RENAMED.get(first, first), *rest[len(keys) :]], labels, value)


def _gauge(words: list[str], labels: dict[str, str], value: float) -> Gauge:
    return Gauge(name=PREFIX + re.sub(r"\W", "_", "_".join(words)), labels=tuple(labels.items()), value=value)
