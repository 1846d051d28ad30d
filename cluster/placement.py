"""Reserves the run's bundles on the cluster before any actor starts, with a deadline.

Invariant: either all three groups are there, or none is left and the error says per group and resource what is needed
and what the cluster has. The groups are removed when the run ends, which also ends any actor still in them.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import ray
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

from actors.placement import Placement
from cluster.bundles import Group, groups, total
from configs.errors import UserError
from configs.schema import RunConfig


@contextmanager
def placed(config: RunConfig, *, can_grow: bool) -> Iterator[Placement]:
    """The run's placement groups, for as long as the context lasts.

    `can_grow`: an autoscaler may add nodes, so even what does not fit now is waited for until
    `cluster.placement_timeout_s`; otherwise it is refused at once.
    """
    if not can_grow:
        _refuse_what_cannot_fit(config)
    wanted = groups(config)
    made: list[PlacementGroup] = []
    try:
        for group in wanted:
            made.append(placement_group(list(group.bundles), strategy=group.strategy, name=f"{config.run.name}-{group.name}"))
        _wait(config, list(zip(wanted, made, strict=True)))
        generators, learner, services = made
        yield Placement(generators=generators, learner=learner, services=services)
    finally:
        for group_made in made:
            remove_placement_group(group_made)


def _refuse_what_cannot_fit(config: RunConfig) -> None:
    has = ray.cluster_resources()
    if any(amount > has.get(resource, 0.0) for resource, amount in total(config).items()):
        raise UserError(refusal(config, has, "the cluster is too small"))


def _wait(config: RunConfig, pending: list[tuple[Group, PlacementGroup]]) -> None:
    deadline = time.monotonic() + config.cluster.placement_timeout_s
    for group, made in pending:
        done, _ = ray.wait([made.ready()], timeout=max(0.0, deadline - time.monotonic()))
        if not done:
            why = f"{group.name} not placed within cluster.placement_timeout_s={config.cluster.placement_timeout_s:g}"
            raise UserError(refusal(config, ray.available_resources(), why))


def refusal(config: RunConfig, has: Mapping[str, float], why: str) -> str:
    """One line: what each group needs, the sum against what there is, and the keys to lower."""
    parts = [f"{group.name} {_amounts(group.total())} in {len(group.bundles)} bundles" for group in groups(config)]
    needed = total(config)
    sums = ", ".join(
        f"{resource} {amount:g} needed, {has.get(resource, 0.0):g} available" for resource, amount in needed.items()
    )
    return (
        f"placement: {why}: {sums} ({'; '.join(parts)}); lower generators.count/cpus, learner.world_size/cpus or "
        "verifiers.count/cpus, or add nodes"
    )


def _amounts(resources: Mapping[str, float]) -> str:
    return " + ".join(f"{amount:g} {resource}" for resource, amount in resources.items())
