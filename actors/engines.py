"""The generator engines by their config name. Each is imported on use: vLLM takes tens of seconds."""

from typing import Protocol

from actors.engine_loop import StepEngine
from configs.play_sections import ModelSection
from configs.system_sections import GeneratorsSection
from selfplay.protocols import Generator


class Engine(Generator, StepEngine, Protocol):
    """A generator that runs a model in this process, for whole batches or stepped by hand."""

    fingerprint: str


def make_engine(model_path: str, generators: GeneratorsSection, model: ModelSection, sampler_id: str) -> Engine:
    if generators.engine == "vllm":
        from actors.vllm_engine import VllmEngine

        return VllmEngine(model_path, generators, dtype=model.dtype, prompt_format=model.prompt_format, sampler_id=sampler_id)
    if generators.engine == "simulated":
        from actors.simulated_engine import SimulatedEngine

        return SimulatedEngine(generators, sampler_id)
    from actors.transformers_engine import TransformersEngine

    return TransformersEngine(
        model_path, generators, dtype=model.dtype, prompt_format=model.prompt_format, sampler_id=sampler_id
    )
