"""Reserves the run's bundles on the cluster before any actor starts, with a deadline.

Invariant: either all three groups are there, or none is left and the error says per group and resource what is needed
and what the cluster has. The groups are removed when the run ends, which also ends any actor still in them.

Generators of an asynchronous run have a group of one bundle each, so that every one of them can leave; they are asked for
and given back while the run goes on.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import ray
from ray.util.placement_group import PlacementGroup, placement_group, placement_group_table, remove_placement_group

from actors.placement import Placement, Slot
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
    generators, learner, services = groups(config)
    room = GroupRoom(config)
    try:
        if config.pipeline.staleness:
            slots = [room.ask(f"azr-generator-{number}") for number in range(len(generators.bundles))]
        else:
            spread = room.reserve(generators)
            slots = [Slot(group=spread, index=index) for index in range(len(generators.bundles))]
        packed, anywhere = room.reserve(learner), room.reserve(services)
        wanted = [*((generators, slot.group) for slot in slots), (learner, packed), (services, anywhere)]
        _wait(config, wanted)
        elastic = room if config.pipeline.staleness else None
        yield Placement(generators=slots, learner=packed, services=anywhere, room=elastic)
    finally:
        room.close()


class GroupRoom:
    """Implements `actors.placement.Room`; has made all groups of one run."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config
        self._made: list[PlacementGroup] = []

    def reserve(self, group: Group, name: str = "") -> PlacementGroup:
        label = f"{self._config.run.name}-{name or group.name}"
        self._made.append(placement_group(list(group.bundles), strategy=group.strategy, name=label))
        return self._made[-1]

    def ask(self, name: str) -> Slot:
        generators = groups(self._config)[0]
        return Slot(group=self.reserve(Group(name=generators.name, strategy="PACK", bundles=generators.bundles[:1]), name))

    def is_placed(self, slot: Slot, seconds: float) -> bool:
        return bool(slot.group.wait(seconds))

    def missing(self) -> str:
        """By the sums over all nodes, of which each may have too little."""
        has = ray.available_resources()
        return ", ".join(
            f"{resource} {amount:g} needed, {has.get(resource, 0.0):g} available"
            for resource, amount in groups(self._config)[0].bundles[0].items()
        )

    def give_back(self, slot: Slot) -> None:
        remove_placement_group(slot.group)
        self._made.remove(slot.group)

    def doomed(self, slots: Sequence[Slot]) -> list[bool]:
        # Ray has no public way to ask this; its own libraries ask so.
        draining = ray._private.state.state.get_draining_nodes()
        return [bool(draining) and _node(slot) in draining for slot in slots]

    def close(self) -> None:
        while self._made:
            remove_placement_group(self._made.pop())


def _node(slot: Slot) -> str:
    """Hexadecimal id of the node that the bundle lies on."""
    return str(placement_group_table(slot.group)["bundles_to_node_id"].get(slot.index, ""))


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
