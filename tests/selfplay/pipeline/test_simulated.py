"""The model of the scheduler against the pipeline itself, both on clocks that jump, with the same engines and latencies."""

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from configs.play_sections import BuffersSection, SolverSection
from configs.schema import RunConfig
from configs.system_sections import PipelineSection, RunSection
from selfplay.simulation.engine import Speed
from selfplay.simulation.latencies import Game, Latencies, Work
from selfplay.simulation.model import Model, ModelStep
from selfplay.simulation.parts import SimulatedGenerator
from tasks.records import Kind, Request, Role

STEPS, SKIPPED = 14, 4
LENGTHS = range(4, 25)  # tokens of a completion, each as often as any other
TOLERANCE = 0.05  # of the seconds of a step


def length(request: Request) -> int:
    return LENGTHS[request.seed % len(LENGTHS)]


def modelled(config: RunConfig, num: int, speed: Speed, learner_s: float, admitted: Mapping[Kind, float]) -> list[ModelStep]:
    """`learner_s`: of an update, and of a publication as well."""
    work = {
        Kind(kind): Work(
            num_proposals=config.num_fresh(kind) * config.proposer.oversample,
            num_fresh=config.num_fresh(kind),
            num_tasks=config.num_tasks(kind),
        )
        for kind in config.family.kinds
    }
    latencies = Latencies(
        speed=speed,
        tokens={(kind, role): tuple(map(float, LENGTHS)) for kind in work for role in Role},
        admitted=admitted,
        update_s=(learner_s,),
        publish_s=(learner_s,),
    )
    pipeline = config.pipeline
    game = Game(
        work=work, attempts=config.solver.attempts, staleness=pipeline.staleness, generators=num, in_flight=pipeline.in_flight
    )
    return Model(game, latencies, STEPS, seed=0, swap=pipeline.swap).run()


CASES = [(num, staleness, learner_s) for learner_s in (0.2, 3.0) for staleness in (1, 2) for num in (1, 2, 4, 8)]
QUICK = ((2, 1, 3.0), (8, 2, 0.2))


@pytest.mark.parametrize("swap", ["drain", "keep"])
@pytest.mark.parametrize(
    ("num", "staleness", "learner_s"), [pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow) for case in CASES]
)
def test_the_model_foretells_the_pipeline_s_step_and_staleness(
    play: Any, tmp_path: Path, num: int, staleness: int, learner_s: float, swap: Any
) -> None:
    """With few generators the learner waits, with many they do: the model must know when the one turns into the other."""
    config = RunConfig(
        tasks_per_kind=6,
        run=RunSection(steps=STEPS),
        buffers=BuffersSection(seed_size=12, seed_rounds=0),
        solver=SolverSection(attempts=4),
        pipeline=PipelineSection(staleness=staleness, swap=swap, request_timeout_s=1e6, batch_timeout_s=1e6),
    )
    speed = Speed(step_s=0.02, sequence_s=0.01, slots=8, load_s=0.3)
    fleet = {f"generator-{i}": SimulatedGenerator(f"generator-{i}", speed, length, swap) for i in range(num)}
    outcome = play(config, tmp_path, lambda texts: fleet, {"learner": learner_s})
    proposed = [item for batch in outcome.trained for item in batch.proposed]
    admitted = {kind: fmean(item.admission.task is not None for item in proposed if item.rollout.kind is kind) for kind in Kind}
    steps = modelled(config, num, speed, learner_s, admitted)
    real_s = (outcome.ends[-1] - outcome.ends[SKIPPED]) / (STEPS - 1 - SKIPPED)
    model_s = (steps[-1].end_s - steps[SKIPPED].end_s) / (STEPS - 1 - SKIPPED)
    real_stale = fmean(
        batch.step - 1 - item.rollout.policy_version
        for batch in outcome.trained[SKIPPED:]
        for item in (*batch.judged.proposals, *batch.judged.attempts)
    )
    model_stale = fmean(lag for step in steps[SKIPPED:] for lag in step.staleness)
    assert model_s == pytest.approx(real_s, rel=TOLERANCE)
    assert model_stale == pytest.approx(real_stale, abs=0.15)
