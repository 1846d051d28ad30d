"""What a step of the pipeline says of itself beyond the synchronous loop: staleness, mixed rollouts, pauses. Pure."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean

from selfplay.pipeline.protocols import Health
from tasks.records import Trajectory


def staleness_scalars(batch: Sequence[Trajectory], step: int) -> dict[str, float]:
    """Of what batch `step` trained on, by version step − 1. A token is as stale as the version that sampled it.

    mean: over tokens; max: over rollouts, by their first token; mixed: share of rollouts that more than one version made.
    """
    if not batch:
        return {}
    behind = [lag for item in batch for lag in _lags(item, step - 1)]
    return {
        "staleness/mean": fmean(behind) if behind else 0.0,
        "staleness/max": float(max(step - 1 - item.rollout.policy_version for item in batch)),
        "staleness/mixed": fmean(bool(item.rollout.swaps) for item in batch),
    }


def pause_scalars(before: Mapping[str, Health], now: Sequence[Health], step_s: float) -> dict[str, float]:
    """What new weights cost the generators since `before`: seconds a swap, and pauses as a share of the step's time.

    They come with the generators' answers, so that the pause of a swap may be told one step late.
    """
    pairs = [(_earlier(before.get(item.name), item), item) for item in now if item.alive]
    pause_s = [item.pause_s - (old.pause_s if old else 0.0) for old, item in pairs]
    drain_s = [item.drain_s - (old.drain_s if old else 0.0) for old, item in pairs]
    swaps = sum(item.swaps - (old.swaps if old else 0) for old, item in pairs)
    scalars = {
        "generators/alive": float(len(pairs)),
        "generators/in_flight": float(sum(item.in_flight for item in now)),
    }
    if pairs and step_s > 0:
        scalars["generators/pause_share"] = sum(pause_s) / len(pairs) / step_s
    if swaps:
        scalars |= {"generators/pause_s": sum(pause_s) / swaps, "generators/drain_s": sum(drain_s) / swaps}
    return scalars


def _earlier(old: Health | None, now: Health) -> Health | None:
    """None where it is another process of the same name by now, which counts from 0."""
    return old if old is not None and old.swaps <= now.swaps and old.pause_s <= now.pause_s else None


def _lags(item: Trajectory, version: int) -> list[int]:
    """Versions behind, token by token."""
    rollout = item.rollout
    starts = [*rollout.versions, (version, len(rollout.completion_ids))]
    lags: list[int] = []
    for (made_by, first), (_, end) in pairwise(starts):
        lags += [version - made_by] * (end - first)
    return lags
