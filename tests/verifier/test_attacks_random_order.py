"""The red-team suite three times over, in random order and in handfuls of random size, on a single worker."""

from random import Random

import pytest

from tests.verifier.attacks.arena import arena
from tests.verifier.attacks.suite import ATTACKS

NUM_TIMES = 3
MOST = 24  # attacks side by side


@pytest.mark.slow
def test_attacks_in_any_order_leave_nothing_behind() -> None:
    random = Random(1)
    waiting = list(ATTACKS) * NUM_TIMES
    random.shuffle(waiting)
    with arena() as one_worker:
        while waiting:
            size = random.randint(1, MOST)
            handful, waiting = waiting[:size], waiting[size:]
            assert not one_worker.run(handful), [attack.title for attack in handful]
