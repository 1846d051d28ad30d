"""Where the actors of a run go: what each asks for, the placement groups that hold them, and the options from both.

`bundles` is the one statement of a run's resources: `azr plan` prints it, the placement groups are made from it, and the
actors ask for exactly that. Making the groups, with a deadline and a message for what does not fit, belongs to cluster/.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ray.util.placement_group import PlacementGroup
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from actors.fleet import Berth
from configs.system_sections import GeneratorsSection, LearnerSection, VerifiersSection

BUFFERS_CPUS = 0.25
Bundle = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A bundle of a group."""

    group: PlacementGroup
    index: int = 0


class Room(Protocol):
    """Where bundles for further generators come from."""

    def ask(self, name: str) -> Slot:
        """A group of its own, to be placed once there is room; an autoscaler sees that it is wanted."""

    def is_placed(self, slot: Slot, seconds: float) -> bool:
        """Waits at most so long."""

    def missing(self) -> str:
        """What is needed, and what there is."""

    def give_back(self, slot: Slot) -> None: ...

    def doomed(self, slots: Sequence[Slot]) -> list[bool]:
        """Which of them lie on a node that is to be drained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Generators spread over nodes, learner ranks packed on few, services anywhere."""

    generators: Sequence[Slot]  # generators.count
    learner: PlacementGroup  # learner.world_size bundles
    services: PlacementGroup  # the buffer's bundle, then verifiers.count bundles
    room: Room | None = None  # for generators beyond those; None: their number is fixed


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundles:
    """Resources per actor, in the order of the bundles of each group."""

    generators: list[Bundle]
    learner: list[Bundle]
    services: list[Bundle]


def bundles(generators: GeneratorsSection, learner: LearnerSection, verifiers: VerifiersSection) -> Bundles:
    return Bundles(
        generators=[_bundle(generators.cpus, generators.device)] * generators.count,
        learner=[_bundle(learner.cpus, learner.device)] * learner.world_size,
        services=[_bundle(BUFFERS_CPUS, "cpu")] + [_bundle(verifiers.cpus, "cpu")] * verifiers.count,
    )


def _bundle(cpus: float, device: str) -> Bundle:
    return {"CPU": cpus, "GPU": 1.0} if device == "gpu" else {"CPU": cpus}


def berth(
    name: str, bundle: Bundle, group: PlacementGroup | None, index: int, env: dict[str, str], args: tuple[Any, ...] = ()
) -> Berth:
    """Ray options of one actor: its resources, its bundle of the group (None: anywhere), its environment."""
    options: dict[str, Any] = {"num_cpus": bundle["CPU"], "num_gpus": bundle.get("GPU", 0.0), "runtime_env": {"env_vars": env}}
    if group is not None:
        options["scheduling_strategy"] = PlacementGroupSchedulingStrategy(
            placement_group=group, placement_group_bundle_index=index
        )
    return Berth(name=name, options=options, args=args)


def actor_env(threads: int, model_path: str) -> dict[str, str]:
    """Ray would derive OMP_NUM_THREADS from num_cpus, and waiting threads would spin; a local model needs no hub."""
    env = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    return {**env, "HF_HUB_OFFLINE": "1"} if model_path and Path(model_path).is_dir() else env
