import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.schema import RewardSection
from selfplay.rewards import RewardTable, learnability, solve_rate
from tasks.records import AdmissionStatus, VerdictStatus

RIGHT, WRONG, ILL_FORMED = VerdictStatus.RIGHT, VerdictStatus.WRONG, VerdictStatus.ILL_FORMED


@pytest.mark.parametrize(("rate", "reward"), [(0.0, 0.0), (0.125, 0.875), (0.5, 0.5), (0.875, 0.125), (1.0, 0.0)])
def test_learnability_is_equation_4_of_the_paper(rate: float, reward: float) -> None:
    assert learnability(rate) == reward


@given(st.lists(st.sampled_from(list(VerdictStatus)), min_size=1))
def test_the_proposer_is_paid_only_where_attempts_disagree(statuses: list[VerdictStatus]) -> None:
    rate = solve_rate(statuses)
    mixed = RIGHT in statuses and any(status is not RIGHT for status in statuses)
    assert (learnability(rate) > 0) == mixed


def test_presets_are_the_papers_and_the_journals() -> None:
    paper = RewardTable.from_section(RewardSection(preset="paper"))
    assert [paper.solver(status) for status in (RIGHT, WRONG, ILL_FORMED)] == [1.0, -0.5, -1.0]
    journal = RewardTable.from_section(RewardSection(preset="journal"))
    assert [journal.solver(status) for status in (RIGHT, WRONG, ILL_FORMED)] == [1.0, -1.0, -1.0]
    for table in (paper, journal):
        assert table.proposer(AdmissionStatus.BAD_FORMAT, 0.5) == -1.0
        assert table.proposer(AdmissionStatus.REFUSED, 0.5) == -0.5
        assert table.proposer(AdmissionStatus.ADMITTED, 0.25) == 0.75
        assert table.proposer(AdmissionStatus.ADMITTED, 1.0) == 0.0  # not the reference's -0.5


def test_an_own_value_replaces_the_presets() -> None:
    table = RewardTable.from_section(RewardSection(preset="paper", wrong=0.0, refused=0.0))
    assert (table.wrong, table.refused, table.right, table.bad_format) == (0.0, 0.0, 1.0, -1.0)
