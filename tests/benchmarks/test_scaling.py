"""The model against the control plane on a real clock. Bounds are wide: the machine may be busy with other things."""

import pytest

from benchmarks.scaling import LEARN_S, TOKENS, engine_speed, measure, scaled_config
from selfplay.simulation.forecast import forecast
from selfplay.simulation.latencies import Latencies
from tasks.records import Kind, Role

RATE, STEPS = 10.0, 7


@pytest.mark.slow
@pytest.mark.parametrize("staleness", [0, 2])
@pytest.mark.parametrize("num", [1, 4])
def test_the_real_control_plane_gives_as_many_rollouts_a_second_as_the_model(num: int, staleness: int) -> None:
    config = scaled_config(num, STEPS, seed=0, staleness=staleness)
    latencies = Latencies(
        speed=engine_speed(RATE),
        tokens={(kind, role): (float(TOKENS),) for kind in Kind for role in Role},
        admitted=dict.fromkeys(Kind, 1.0),
        update_s=(LEARN_S,),
    )
    foretold = forecast(config, latencies, num, ranks=1).rollouts_per_s
    per_s, _ = measure(config, num, RATE)
    assert 0.5 < per_s / foretold < 1.15
