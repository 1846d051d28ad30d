import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.system_sections import LearnerSection, RunSection
from selfplay.schedule import is_over, learning_rate, progress


def test_a_run_without_a_budget_ends_after_its_steps() -> None:
    section = RunSection(steps=5)
    assert [is_over(section, step, 10**9) for step in (0, 4, 5)] == [False, False, True]


def test_a_budget_of_tokens_ends_a_run_before_its_steps() -> None:
    section = RunSection(steps=100, token_budget=1000)
    assert not is_over(section, 3, 999)
    assert is_over(section, 3, 1000)
    assert is_over(section, 100, 0)


def test_the_learning_rate_falls_linearly_from_the_peak_to_its_final_share() -> None:
    section, run = LearnerSection(lr=1.0, lr_final=0.1), RunSection(steps=10)
    rates = [learning_rate(section, step, progress(run, step, 0)) for step in range(1, 11)]
    assert rates[0] == 1.0
    assert rates[-1] == pytest.approx(0.1)
    assert rates[1] - rates[0] == pytest.approx(rates[9] - rates[8])


def test_the_learning_rate_warms_up_before_it_falls() -> None:
    section = LearnerSection(lr=1.0, lr_final=1.0, lr_warmup_steps=4)
    assert [learning_rate(section, step, 0.0) for step in (1, 2, 4, 9)] == [0.25, 0.5, 1.0, 1.0]


@given(st.integers(1, 500), st.integers(1, 500), st.integers(0, 10**6), st.integers(0, 10**6))
def test_progress_stays_between_0_and_1_and_follows_what_ends_first(steps: int, step: int, tokens: int, budget: int) -> None:
    section = RunSection(steps=steps, token_budget=budget)
    value = progress(section, min(step, steps), tokens)
    assert 0 <= value <= 1
    if budget and tokens >= budget:
        assert value == 1
