"""`azr plan`: what a run would start and need, computed from its configuration; starts and downloads nothing.

Sizes are upper bounds or estimates, each with its basis; what cannot be known here is said to be unknown. Speed is
cluster.forecast's word.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from rich.console import Console

from cluster.bundles import groups, total
from cluster.console import say, say_json
from cluster.forecast import (
    Forecasts,
    assumed_basis,
    forecast_json,
    forecast_lines,
    foretell,
    latency_table,
    layout_table,
    parse_given,
    recorded_basis,
)
from cluster.model_source import STAND_IN, Size, model_size
from configs.errors import ConfigError
from configs.schema import RunConfig

BYTES = {"float32": 4, "bfloat16": 2}
VLLM_PROCESS_GIB = 1.8  # measured resident size of a vLLM process with a tiny model on CPU
TORCH_PROCESS_GIB = 0.6
# Tokens a second measured on two CPU cores in float32 with a 128 x 2 model: one vLLM actor, and a plain training step.
GENERATED_PER_S = 5000.0
TRAINED_PER_S = 24600.0
MEASURED_PARAMETERS = 0.56e6
UNKNOWN_STEP = "no measurement near this model and device; --run RUN or --assume gives one"
GIB = 2**30


class Plan(TypedDict):
    """What `--json` prints; None is unknown. `forecast` is that of cluster.forecast."""

    run: str
    seed: int
    model: str
    dtype: str
    parameters: float | None
    parameters_basis: str
    actors: dict[str, int]
    resources: dict[str, float]
    rows_per_step: int
    completions_per_step: int
    completion_tokens_per_step: int
    generator_gib: float | None
    learner_rank_gib: float | None
    step_seconds: float | None
    step_basis: str
    forecast: dict[str, object] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked of the forecast: `assume` are NAME=NUMBER, `generators` are numbers joined by commas; gpus 0: not given."""

    run: Path | None = None
    gpus: int = 0
    generators: str = ""
    assume: tuple[str, ...] = ()


def show_plan(config: RunConfig, wanted: Wanted, *, as_json: bool) -> None:
    """Prints the plan with its forecast. UserError where a forecast was asked for that nothing is known for."""
    forecasts = _forecasts(config, wanted)
    plan, console = make_plan(config, forecasts), Console()
    for line in plan_lines(plan, config):
        say(line)
    if forecasts:
        console.print(latency_table(forecasts.basis))
        console.print(layout_table(forecasts))
        for line in forecast_lines(forecasts):
            say(line)
    if as_json:
        say_json(plan)


def make_plan(config: RunConfig, forecasts: Forecasts | None = None) -> Plan:
    size = model_size(config.model)
    own = (config.generators.count, config.learner.world_size)
    layouts = forecasts.layouts if forecasts else ()
    seconds = next((item.step_s for item in layouts if (item.generators, item.ranks) == own), None)
    return Plan(
        run=config.run.name,
        seed=config.seed,
        model=config.model.name_or_path,
        dtype=config.model.dtype,
        parameters=size.parameters if size else None,
        parameters_basis=size.basis if size else "no config.json on this machine, and the name tells no size",
        actors={
            "buffers": 1,
            "generators": config.generators.count,
            "verifiers": config.verifiers.count,
            "learner ranks": config.learner.world_size,
        },
        resources=total(config),
        rows_per_step=config.rows_per_step,
        completions_per_step=_proposals(config) + _attempts(config),
        completion_tokens_per_step=_proposals(config) * config.proposer.max_tokens
        + _attempts(config) * config.solver.max_tokens,
        generator_gib=_generator_gib(config, size),
        learner_rank_gib=_learner_gib(config, size),
        step_seconds=seconds,
        step_basis="the model of the scheduler" if seconds else UNKNOWN_STEP if not forecasts else "see the forecast",
        forecast=forecast_json(forecasts) if forecasts else None,
    )


def plan_lines(plan: Plan, config: RunConfig) -> Iterator[str]:
    """The plan in words, a line each."""
    yield f"run            {config.run.steps} steps in {config.run.root}/{plan['run']}, seed {plan['seed']}"
    size = f"{_millions(plan['parameters'])} parameters ({plan['parameters_basis']})"
    yield f"model          {plan['model']}, {size}, {plan['dtype']}"
    if plan["model"] == STAND_IN:
        yield f"warm start     {config.model.stand_in.warmup_steps} supervised steps stand in for pre-training (cached)"
    for group in groups(config):
        bundle = ", ".join(
            sorted({" + ".join(f"{amount:g} {name}" for name, amount in each.items()) for each in group.bundles})
        )
        yield f"{group.name:<14} {len(group.bundles)} bundle{'s' * (len(group.bundles) > 1)} of {bundle} ({group.strategy})"
    yield f"resources      {', '.join(f'{amount:g} {name}' for name, amount in plan['resources'].items())} in all"
    yield f"generation     {_generation(plan, config)}"
    updates = f"{config.learner.advantage}, {config.learner.minibatches} optimizer step(s)"
    yield f"training       at most {plan['rows_per_step']} rows a step, {updates}"
    yield f"memory         generator {_gib(plan['generator_gib'])}, learner rank {_gib(plan['learner_rank_gib'])} (estimates)"
    yield f"step time      {_seconds(plan['step_seconds'])} ({plan['step_basis']})"


def _proposals(config: RunConfig) -> int:
    return sum(config.num_fresh(kind) for kind in config.family.kinds) * config.proposer.oversample


def _attempts(config: RunConfig) -> int:
    """Sampled per step: G for each task; one more where attempts are not reused for training."""
    per_task = config.solver.attempts + (0 if config.solver.reuse_attempts else 1)
    return sum(config.num_tasks(kind) for kind in config.family.kinds) * per_task


def _completion_tokens(config: RunConfig) -> int:
    return _proposals(config) * config.proposer.max_tokens + _attempts(config) * config.solver.max_tokens


def _generator_gib(config: RunConfig, size: Size | None) -> float | None:
    """Weights, the process and on CPU the KV cache; on GPU vLLM takes its share of the card whatever the model."""
    if size is None:
        return None
    weights = size.parameters * BYTES[config.model.dtype] / GIB
    on_cpu = config.generators.device == "cpu" and config.generators.engine == "vllm"
    return weights + VLLM_PROCESS_GIB + (config.generators.kv_cache_gib if on_cpu else 0)


def _learner_gib(config: RunConfig, size: Size | None) -> float | None:
    """Weights + gradients in the model's dtype, float32 master weights and two Adam moments, split as ZeRO splits them.

    Adds the frozen reference when kl_beta > 0. Activations are left out: micro_batch_tokens bounds them.
    """
    if size is None:
        return None
    ranks, stage = config.learner.world_size, config.learner.zero_stage
    width = BYTES[config.model.dtype]
    optimizer = (8 if width == 4 else 12) / (ranks if stage >= 1 else 1)
    gradients = width / (ranks if stage >= 2 else 1)
    weights = width / (ranks if stage >= 3 else 1)
    reference = width if config.learner.loss.kl_beta > 0 else 0
    return size.parameters * (optimizer + gradients + weights + reference) / GIB + TORCH_PROCESS_GIB


def _forecasts(config: RunConfig, wanted: Wanted) -> Forecasts | None:
    given = parse_given(wanted.assume)
    numbers = _numbers(wanted.generators)
    if wanted.run is not None:
        basis = recorded_basis(config, wanted.run, given)
    else:
        found = assumed_basis(config, given, _measured_near(config, model_size(config.model)))
        if found is None and (given or numbers or wanted.gpus):
            raise ConfigError(
                "azr plan must know what generating and updating take, and nothing was measured near this model and device; "
                "give --run RUN, or --assume step_s=SECONDS (of an engine step) and --assume update_s=SECONDS"
            )
        if found is None:
            return None
        basis = found
    return foretell(config, basis, numbers, wanted.gpus)


def _numbers(words: str) -> list[int]:
    try:
        return sorted({int(word) for word in words.split(",") if word.strip()})
    except ValueError:
        raise ConfigError(f"--generators must be numbers joined by commas, as in 1,2,4, got {words!r}") from None


def _measured_near(config: RunConfig, size: Size | None) -> Mapping[str, float]:
    """Scaled from the one measured point, and only near it; as if every completion were at its longest."""
    near = size is not None and size.parameters <= 10 * MEASURED_PARAMETERS
    if not near or size is None or "gpu" in (config.generators.device, config.learner.device):
        return {}
    scale = max(1.0, size.parameters / MEASURED_PARAMETERS)
    return {"sequence_s": scale / GENERATED_PER_S, "update_s": scale * _completion_tokens(config) / TRAINED_PER_S}


def _generation(plan: Plan, config: RunConfig) -> str:
    return (
        f"{_proposals(config)} proposals and {_attempts(config)} attempts a step, at most "
        f"{plan['completion_tokens_per_step']} tokens, {config.generators.engine} on {config.generators.device}"
    )


def _millions(parameters: float | None) -> str:
    return "unknown" if parameters is None else f"{parameters / 1e6:.3g} M"


def _gib(amount: float | None) -> str:
    return "unknown" if amount is None else f"{amount:.1f} GiB"


def _seconds(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"about {seconds:.1f} s"
