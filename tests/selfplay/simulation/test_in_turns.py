"""The model against the synchronous loop, whose parts move a clock of their own instead of sleeping."""

import itertools
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

from configs.play_sections import SolverSection
from configs.schema import RunConfig
from configs.system_sections import RunSection
from selfplay.loop import Parts, SelfPlay
from selfplay.simulation.engine import Speed
from selfplay.simulation.forecast import forecast
from selfplay.simulation.latencies import Latencies
from selfplay.simulation.parts import SimulatedGenerators, SimulatedLearner
from tasks.arithmetic.family import ArithmeticFamily
from tasks.records import Kind, Request, Role

STEPS, LEARN_S = 12, 3.0
LENGTHS = range(4, 25)
SPEED = Speed(step_s=0.02, sequence_s=0.01, slots=8, load_s=0.3)


def length(request: Request) -> int:
    return LENGTHS[request.seed % len(LENGTHS)]


@pytest.mark.slow
@pytest.mark.parametrize("num", [1, 2, 4, 8])
def test_the_model_foretells_the_synchronous_step(
    parts: Parts, family: ArithmeticFamily, small_config: RunConfig, tmp_path: Path, num: int
) -> None:
    run = RunSection(steps=STEPS, checkpoint_every=100)
    config = small_config.model_copy(update={"tasks_per_kind": 6, "run": run, "solver": SolverSection(attempts=4)})
    slept: list[float] = []
    generator, learner = SimulatedGenerators(num, SPEED, length, slept.append), SimulatedLearner(LEARN_S, slept.append)
    SelfPlay(config, family, replace(parts, generator=generator, learner=learner), tmp_path).run()
    ends = [index for index, seconds in enumerate(slept) if seconds == LEARN_S]  # two stages, an update and a load a step
    steps_s = [sum(slept[begin:end]) for begin, end in itertools.pairwise(ends)]
    latencies = Latencies(
        speed=SPEED,
        tokens={(kind, role): tuple(map(float, LENGTHS)) for kind in Kind for role in Role},
        admitted=dict.fromkeys(Kind, 1.0),  # synchronously the number of tasks does not depend on it
        update_s=(LEARN_S,),
    )
    assert forecast(config, latencies, num, ranks=1).step_s == pytest.approx(fmean(steps_s), rel=0.05)
