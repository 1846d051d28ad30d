"""What must hold of the model for any latencies; that it foretells the pipeline is tested beside the pipeline."""

from dataclasses import replace
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.schema import RunConfig
from configs.system_sections import GeneratorsSection, LearnerSection, PipelineSection
from selfplay.simulation.engine import Speed
from selfplay.simulation.forecast import fewest, forecast, game_of, shortest, splits
from selfplay.simulation.latencies import Game, Latencies, Work
from selfplay.simulation.model import Model
from tasks.records import Kind, Role

LATENCIES = Latencies(
    speed=Speed(step_s=0.1, slots=4, load_s=0.2),
    tokens={(kind, role): (2.0, 5.0, 9.0) for kind in Kind for role in Role},
    admitted=dict.fromkeys(Kind, 0.6),
    update_s=(1.0, 2.0),
    publish_s=(0.1,),
    verify_s=(0.01,),
    grade_s=(0.005,),
    references_s=(0.3,),
    store_s=(0.2,),
    tell_s=(0.1,),
)


def game(staleness: int, generators: int, in_flight: int = 64) -> Game:
    work = {kind: Work(num_proposals=6, num_fresh=3, num_tasks=4) for kind in (Kind.DEDUCTION, Kind.ABDUCTION)}
    return Game(work=work, attempts=3, staleness=staleness, generators=generators, in_flight=in_flight)


@settings(max_examples=40, deadline=None)
@given(
    staleness=st.integers(0, 3),
    generators=st.integers(1, 9),
    in_flight=st.integers(1, 64),
    seed=st.integers(0, 99),
    swap=st.sampled_from(["drain", "keep"]),
    admitted=st.floats(0, 1),
)
def test_every_step_is_whole_none_is_staler_than_allowed_and_nobody_is_busier_than_the_clock(
    staleness: int, generators: int, in_flight: int, seed: int, swap: str, admitted: float
) -> None:
    of = game(staleness, generators, in_flight)
    latencies = replace(LATENCIES, admitted=dict.fromkeys(Kind, admitted))
    steps = Model(of, latencies, 6, seed, swap).run()  # type: ignore[arg-type]
    assert all(len(step.staleness) == of.rollouts for step in steps)
    assert all(0 <= lag <= staleness for step in steps for lag in step.staleness)
    assert steps[-1].busy_s + steps[-1].pause_s <= generators * steps[-1].end_s + 1e-6
    assert sum(step.wait_s + step.update_s for step in steps) <= steps[-1].end_s + 1e-6


def test_a_seed_gives_one_history() -> None:
    first, again, other = (Model(game(1, 3), LATENCIES, 5, seed).run() for seed in (7, 7, 8))
    assert first == again != other


def test_a_synchronous_step_is_the_sum_of_its_stages() -> None:
    constant = replace(LATENCIES, tokens=dict.fromkeys(LATENCIES.tokens, (5.0,)), update_s=(1.5,))
    steps = Model(game(0, 2), constant, 3, seed=0).run()
    generated_s = (-(-6 // 4) + -(-12 // 4)) * 0.5  # 12 proposals, 24 attempts; two engines of four slots, 0.5 s a completion
    rest_s = 0.3 + 12 * 0.01 + 24 * 0.005 + 1.5 + 0.1 + 0.2 + 0.2 + 0.1
    assert steps[2].end_s - steps[1].end_s == pytest.approx(generated_s + rest_s)


def test_overlap_hides_the_shorter_of_generating_and_learning() -> None:
    learner_bound = replace(LATENCIES, update_s=(60.0,))
    steps = Model(game(2, 8), learner_bound, 8, seed=0).run()
    assert (steps[-1].end_s - steps[2].end_s) / 5 == pytest.approx(60.0 + 0.1 + 0.2 + 0.1)
    assert fmean(step.wait_s for step in steps[2:]) == 0
    generator_bound = Model(game(2, 1), replace(LATENCIES, update_s=(0.0,)), 30, seed=0).run()
    assert generator_bound[-1].busy_s / generator_bound[-1].end_s > 0.85


def config(**pipeline: int) -> RunConfig:
    return RunConfig(
        tasks_per_kind=4,
        generators=GeneratorsSection(max_num_seqs=4),
        learner=LearnerSection(world_size=2),
        pipeline=PipelineSection(**pipeline),
    )


def test_more_ranks_shorten_the_update_by_what_a_doubling_gains() -> None:
    of = config(staleness=2)
    slow = replace(LATENCIES, update_s=(400.0,))
    two, four = (forecast(of, slow, 32, ranks, rank_efficiency=0.8) for ranks in (2, 4))
    assert four.step_s == pytest.approx(two.step_s * 1 / 1.6, rel=0.01)
    assert two.learner_busy > 0.95
    assert sum(two.staleness.values()) == pytest.approx(1)
    assert two.mean_staleness == pytest.approx(2, abs=0.1)


@pytest.mark.slow
def test_the_best_split_is_found_without_looking_at_every_one() -> None:
    of = config(staleness=2)
    latencies = replace(LATENCIES, update_s=(30.0,))
    tried = splits(24, lambda number: forecast(of, latencies, number, 24 - number))
    every = [forecast(of, latencies, number, 24 - number) for number in range(1, 24)]
    assert len(tried) < len(every)
    assert shortest(tried).step_s <= 1.05 * shortest(every).step_s
    assert {item.generators for item in tried} >= {1, 23}


def test_generators_that_gain_nothing_are_not_advised() -> None:
    of = config(staleness=2)
    learner_bound = replace(LATENCIES, update_s=(50.0,))
    layouts = [forecast(of, learner_bound, number, 2) for number in (1, 2, 4, 8, 16)]
    assert fewest(layouts).generators < 16
    assert fewest(layouts).step_s <= 1.02 * shortest(layouts).step_s


def test_the_game_of_a_configuration_has_its_requests() -> None:
    of = game_of(config(), 3)
    assert of.rollouts == 3 * (4 * 2 + 4 * 8)
