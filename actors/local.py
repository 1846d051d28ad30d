"""The parts of a run as plain objects in this process (`--local`): the same loop without Ray."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from actors.engine_loop import EngineLoop
from actors.engines import Engine, make_engine
from buffers.buffers import TaskBuffers
from buffers.census import family_traits
from configs.errors import ConfigError
from configs.schema import RunConfig
from learner.learner import Learner
from selfplay.loop import Parts
from selfplay.pipeline.protocols import StreamingParts
from selfplay.pipeline.router import Router
from selfplay.protocols import Telemetry
from tasks.records import Kind
from verifier.verifier import FamilyVerifier

LOCAL = "azr-generator-local"


def local_streaming_parts(config: RunConfig, model_path: str, telemetry: Telemetry) -> StreamingParts:
    """The same for the asynchronous pipeline: the engine is built as ever, and stepped by a thread of its own."""
    parts = local_parts(config, model_path, telemetry)
    thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
    loop = EngineLoop(cast(Engine, parts.generator), LOCAL, config.pipeline.swap, thread)
    return StreamingParts(
        generator=Router({LOCAL: loop}, config.pipeline),
        verifier=parts.verifier,
        buffers=parts.buffers,
        learner=parts.learner,
        telemetry=parts.telemetry,
    )


def local_parts(config: RunConfig, model_path: str, telemetry: Telemetry) -> Parts:
    """One engine, one verifier, one learner rank. Raises ConfigError for a world size that needs processes."""
    if config.learner.world_size != 1:
        raise ConfigError(f"learner.world_size must be 1 with --local, got {config.learner.world_size}; leave out --local")
    # The engine comes first: vLLM reads its environment when it starts and finds no process group to share.
    generator = make_engine(model_path, config.generators, config.model, LOCAL)
    options: Mapping[str, object] = config.family.options
    learner = Learner(
        model_path,
        config.learner,
        dtype=config.model.dtype,
        seed=config.seed,
        timeout_s=config.cluster.call_timeout_s,
    )
    verifier = FamilyVerifier(config.family.name, options, config.verifiers)
    return Parts(
        generator=generator,
        verifier=verifier,
        buffers=TaskBuffers(
            [Kind(name) for name in config.family.kinds], config.buffers.capacity, family_traits(verifier.family)
        ),
        learner=learner,
        telemetry=telemetry,
    )
