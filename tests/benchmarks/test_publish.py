"""The publication benchmark: its arithmetic on numbers made by hand, and one real publication over its floor."""

import pytest
import torch
from torch.nn import Linear, Sequential

from benchmarks.publish import Copies, Side, compare, measure, section_of, shares, summarise
from configs.errors import UserError


def test_ratios_are_taken_within_a_round_before_their_median() -> None:
    # The third round ran on a machine half as fast; medians of the seconds would give 4.
    seconds = {
        "publication": [3.0, 4.0, 8.0],
        "learner": [2.0, 2.0, 4.0],
        "generator": [1.0, 2.0, 4.0],
        "fingerprints": [0.5, 1.0, 2.0],
        "pause": [0.3, 0.8, 1.6],
        "floor": [1.0, 1.0, 4.0],
    }
    found = summarise(seconds)
    assert found["publication_over_floor"] == 3.0
    assert found["fingerprints_over_floor"] == 0.5
    assert found["pause_over_publication"] == 0.2


def test_sides_take_turns_in_an_order_that_turns_round() -> None:
    calls: list[str] = []

    def side(name: str) -> Side:
        def run() -> dict[str, float]:
            calls.append(name)
            return {name: float(len(calls))}

        return run

    seconds = measure([side("a"), side("b")], 2)
    assert "".join(calls) == "abab" + "ba" + "ab"
    assert seconds == {"b": [5.0, 8.0], "a": [6.0, 7.0]}


def test_shares_of_a_run_weigh_steps_by_their_length() -> None:
    steps = [
        (1, {"time/step": 1.0, "time/publish": 0.5, "generators/pause_share": 0.4}),
        (2, {"time/step": 9.0, "time/publish": 0.5, "generators/pause_share": 0.0}),
    ]
    assert shares(steps) == {"publish_share": 0.1, "pause_share": 0.04}


def test_a_synchronous_run_has_no_pause_of_its_own() -> None:
    assert shares([(1, {"time/step": 2.0, "time/publish": 0.5})]) == {"publish_share": 0.25}


@pytest.mark.parametrize("size", ["128", "100x2", "0x2", "128x0", "128x2x3", "-32x1"])
def test_a_size_that_is_no_model_is_one_line(size: str) -> None:
    with pytest.raises(UserError, match=rf"^--sizes must be WIDTHxLAYERS with a width that 32 divides, got {size};"):
        section_of(size)


@pytest.mark.slow
def test_the_floor_moves_every_byte(ray_cluster: None) -> None:
    source, target = (Sequential(Linear(5, 7), Linear(7, 3, bias=False)) for _ in range(2))
    copies = Copies(source, target)
    assert copies.num_bytes == 4 * (5 * 7 + 7 + 7 * 3)
    copies.run()
    pairs = zip(source.parameters(), target.parameters(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


@pytest.mark.slow
def test_a_real_publication_is_measured_over_its_floor(ray_cluster: None) -> None:
    found = compare("32x1", 2)
    assert found["publication_over_floor"] >= max(found["learner_over_floor"], found["generator_over_floor"]) > 0
    assert min(found["fingerprints_over_floor"], found["pause_over_publication"]) > 0
    assert found["parameters"] > 10_000
