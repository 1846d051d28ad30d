"""Which resources a run asks for: three groups of bundles, with their placement strategies and sums."""

from dataclasses import dataclass

from actors.placement import bundles
from configs.schema import RunConfig

DRIVER_CPUS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Bundles that are reserved together. SPREAD: on different nodes where there are several; PACK: on few."""

    name: str
    strategy: str
    bundles: tuple[dict[str, float], ...]

    def total(self) -> dict[str, float]:
        """Amount per resource over all bundles."""
        amounts: dict[str, float] = {}
        for bundle in self.bundles:
            for resource, amount in bundle.items():
                amounts[resource] = amounts.get(resource, 0.0) + amount
        return amounts


def groups(config: RunConfig) -> tuple[Group, Group, Group]:
    """Generators, learner, and services (the buffer first, then the verifiers), as the actors will ask for them."""
    wanted = bundles(config.generators, config.learner, config.verifiers)
    return (
        Group(name="generators", strategy="SPREAD", bundles=tuple(wanted.generators)),
        Group(name="learner", strategy="PACK", bundles=tuple(wanted.learner)),
        Group(name="services", strategy="PACK", bundles=tuple(wanted.services)),
    )


def total(config: RunConfig) -> dict[str, float]:
    amounts: dict[str, float] = {}
    for group in groups(config):
        for resource, amount in group.total().items():
            amounts[resource] = amounts.get(resource, 0.0) + amount
    return amounts
