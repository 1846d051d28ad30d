"""The parts of a run as Ray actors, placed as the placement says, all started side by side."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from actors.elastic import Growth, RemoteStreaming
from actors.fleet import Berth
from actors.learner import LearnerSpec
from actors.mending import Mending, Told, ignore
from actors.placement import Placement, Slot, actor_env, berth, bundles
from actors.proxies import Remote, RemoteBuffers, RemoteGenerators, RemoteLearner, RemoteVerifiers, started
from configs.schema import RunConfig
from selfplay.loop import Parts
from selfplay.pipeline.protocols import StreamingParts
from selfplay.pipeline.scaling import Orders
from selfplay.protocols import Telemetry
from tasks.records import Kind


def remote_parts(config: RunConfig, model_path: str, telemetry: Telemetry, placement: Placement, told: Told = ignore) -> Parts:
    """Raises UserError, with nothing left running, when an actor does not start within cluster.start_timeout_s.

    `told`: of every actor that is lost later on, and when it is back.
    """
    builders = _builders(config, model_path, placement, told)
    generator, verifier, buffers, learner = started(builders, config.cluster.start_timeout_s)
    return Parts(  # by their types, so that a proxy that lags behind its protocol is a type error
        generator=cast(RemoteGenerators, generator),
        verifier=cast(RemoteVerifiers, verifier),
        buffers=cast(RemoteBuffers, buffers),
        learner=cast(RemoteLearner, learner),
        telemetry=telemetry,
    )


def remote_streaming_parts(
    config: RunConfig,
    model_path: str,
    telemetry: Telemetry,
    placement: Placement,
    told: Told = ignore,
    orders: Orders | None = None,
) -> StreamingParts:
    """The same for the asynchronous pipeline. `orders`: of other numbers of generators, as long as the run goes on."""
    builders = _builders(config, model_path, placement, told, orders)
    generator, verifier, buffers, learner = started(builders, config.cluster.start_timeout_s)
    return StreamingParts(
        generator=cast(RemoteStreaming, generator),
        verifier=cast(RemoteVerifiers, verifier),
        buffers=cast(RemoteBuffers, buffers),
        learner=cast(RemoteLearner, learner),
        telemetry=telemetry,
    )


def _builders(
    config: RunConfig, model_path: str, placement: Placement, told: Told, orders: Orders | None = None
) -> list[Callable[[], Remote]]:
    """Slowest first: generators import vLLM."""
    run = config.run.name or f"s{config.seed}"
    timeout_s, start_timeout_s = config.cluster.call_timeout_s, config.cluster.start_timeout_s
    mending = Mending(restarts=config.cluster.restarts, start_timeout_s=start_timeout_s, told=told)
    buffers_berth, *verifier_berths = _service_berths(config, placement)
    spec = LearnerSpec(
        model_path=model_path,
        config=config.learner,
        dtype=config.model.dtype,
        seed=config.seed,
        timeout_s=timeout_s,
    )
    generator_berth = partial(_generator_berth, config, model_path)
    generator_berths = [generator_berth(number, slot) for number, slot in enumerate(placement.generators)]
    learner_berths = _learner_berths(config, model_path, placement)
    model = (model_path, config.generators, config.model)
    common: dict[str, Any] = {"run": run, "call_timeout_s": timeout_s, "mending": mending}
    where: dict[str, Any] = {"berths": generator_berths, **common}
    growth = _growth(config, placement, orders, generator_berth)
    streaming = partial(RemoteStreaming, *model, config.pipeline, growth=growth, **where)
    return [
        streaming if config.pipeline.staleness else partial(RemoteGenerators, *model, **where),
        partial(RemoteVerifiers, berths=verifier_berths, **common),
        partial(RemoteBuffers, berth=buffers_berth, **common),
        partial(RemoteLearner, spec, berths=learner_berths, start_timeout_s=start_timeout_s, **common),
    ]


def _growth(
    config: RunConfig, placement: Placement, orders: Orders | None, generator_berth: Callable[[int, Slot], Berth]
) -> Growth | None:
    if placement.room is None or orders is None:
        return None
    return Growth(
        room=placement.room,
        orders=orders,
        berth=generator_berth,
        slots=placement.generators,
        default=config.generators.count,
        placement_timeout_s=config.cluster.placement_timeout_s,
        start_timeout_s=config.cluster.start_timeout_s,
    )


def _generator_berth(config: RunConfig, model_path: str, number: int, slot: Slot) -> Berth:
    env = actor_env(config.generators.threads, model_path)
    bundle = bundles(config.generators, config.learner, config.verifiers).generators[0]
    return berth(f"azr-generator-{number}", bundle, slot.group, slot.index, env)


def _learner_berths(config: RunConfig, model_path: str, placement: Placement) -> list[Berth]:
    env = actor_env(config.learner.threads, model_path)
    wanted = bundles(config.generators, config.learner, config.verifiers).learner
    return [berth(f"azr-learner-{i}", bundle, placement.learner, i, env) for i, bundle in enumerate(wanted)]


def _service_berths(config: RunConfig, placement: Placement) -> list[Berth]:
    """The buffers' berth, then the verifiers'."""
    first, *others = bundles(config.generators, config.learner, config.verifiers).services
    env = actor_env(1, "")
    kinds = [Kind(name) for name in config.family.kinds]
    berths = [berth("azr-buffers", first, placement.services, 0, env, (kinds, config.buffers.capacity, config.family))]
    for i, bundle in enumerate(others):
        args = (config.family.name, dict(config.family.options), config.verifiers)
        berths.append(berth(f"azr-verifier-{i}", bundle, placement.services, i + 1, env, args))
    return berths
