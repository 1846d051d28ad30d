from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import ConfigError
from configs.loader import load_config
from configs.play_sections import RewardSection
from selfplay.rewards import SHAPES, RewardTable, learnability, solve_rate
from tasks.records import AdmissionStatus, VerdictStatus

RIGHT, WRONG, ILL_FORMED = VerdictStatus.RIGHT, VerdictStatus.WRONG, VerdictStatus.ILL_FORMED


@pytest.mark.parametrize(("rate", "reward"), [(0.0, 0.0), (0.125, 0.875), (0.5, 0.5), (0.875, 0.125), (1.0, 0.0)])
def test_learnability_is_equation_4_of_the_paper(rate: float, reward: float) -> None:
    assert learnability(rate) == reward


@pytest.mark.parametrize(
    ("shape", "target", "expected"),
    [
        ("one_minus", 0.5, [0.0, 0.75, 0.5, 0.25, 0.0]),
        ("parabola", 0.5, [0.0, 0.75, 1.0, 0.75, 0.0]),
        ("target", 0.5, [0.0, 0.5, 1.0, 0.5, 0.0]),
        ("target", 0.25, [0.0, 1.0, 2 / 3, 1 / 3, 0.0]),
        ("target", 0.75, [0.0, 1 / 3, 2 / 3, 1.0, 0.0]),
        ("target", 0.0, [0.0, 0.75, 0.5, 0.25, 0.0]),  # the paper's, by another name
    ],
)
def test_shapes_of_learnability_at_the_quarters(shape: str, target: float, expected: list[float]) -> None:
    assert [learnability(rate / 4, shape, target) for rate in range(5)] == pytest.approx(expected)


@given(st.lists(st.sampled_from(list(VerdictStatus)), min_size=1), st.sampled_from(list(SHAPES)), st.floats(0, 1))
def test_the_proposer_is_paid_only_where_attempts_disagree(statuses: list[VerdictStatus], shape: str, target: float) -> None:
    rate = solve_rate(statuses)
    mixed = RIGHT in statuses and any(status is not RIGHT for status in statuses)
    reward = learnability(rate, shape, target)
    assert (reward > 0) == mixed
    assert 0 <= reward <= 1


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


def table(tmp_path: Path, *overrides: str) -> RewardTable:
    (tmp_path / "empty.yaml").write_text("seed: 0\n")
    return RewardTable.from_section(load_config(tmp_path / "empty.yaml", overrides).reward)


def test_invalid_proposals_may_cost_nothing_by_two_overrides(tmp_path: Path) -> None:
    """The control arm against −1 and −0.5: a penalty may collapse the valid rate (arXiv 2510.18821)."""
    found = table(tmp_path, "reward.bad_format=0", "reward.refused=0")
    assert [found.proposer(status, 0.25) for status in AdmissionStatus] == [0.75, 0.0, 0.0]
    assert [found.solver(status) for status in (RIGHT, WRONG, ILL_FORMED)] == [1.0, -0.5, -1.0]


def test_a_repeat_costs_as_much_as_any_refusal_unless_it_has_a_value_of_its_own(tmp_path: Path) -> None:
    refused = AdmissionStatus.REFUSED
    for overrides, expected in (((), -0.5), (("reward.refused=-0.2",), -0.2), (("reward.duplicate=0",), 0.0)):
        assert table(tmp_path, *overrides).proposer(refused, 0.25, repeats=True) == expected
    own = table(tmp_path, "reward.duplicate=0")
    assert own.proposer(refused, 0.25) == -0.5
    assert own.proposer(AdmissionStatus.ADMITTED, 0.25, repeats=True) == 0.75
    assert own.proposer(AdmissionStatus.BAD_FORMAT, 0.25, repeats=True) == -1.0


def test_the_sections_shape_and_extras_reach_the_table(tmp_path: Path) -> None:
    overrides = ("reward.learnability=target", "reward.target=0.25", "reward.novelty=0.5", "reward.partial=0.4")
    found = table(tmp_path, *overrides)
    assert found.proposer(AdmissionStatus.ADMITTED, 0.25) == 1.0
    assert (found.novelty, found.partial) == (0.5, 0.4)


@pytest.mark.parametrize("override", ["reward.novelty=2", "reward.partial=1", "reward.target=-1", "reward.learnability=half"])
def test_values_that_would_let_an_extra_outweigh_the_outcome_are_refused(tmp_path: Path, override: str) -> None:
    with pytest.raises(ConfigError, match=r"reward\."):
        table(tmp_path, override)


def test_extras_are_off_unless_asked_for() -> None:
    plain = RewardTable.from_section(RewardSection())
    assert plain.novelty_bonus(AdmissionStatus.ADMITTED, 0.5, 1.0) == 0.0
    assert plain.partial_credit(WRONG, 0.9) == 0.0


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("status", list(AdmissionStatus))
def test_a_bonus_is_paid_for_learnable_tasks_only(status: AdmissionStatus, rate: float) -> None:
    found = RewardTable.from_section(RewardSection(novelty=0.3)).novelty_bonus(status, rate, 0.5)
    assert found == (0.15 if status is AdmissionStatus.ADMITTED and rate == 0.5 else 0.0)


@given(st.floats(0, 1), st.floats(0, 1, exclude_max=True), st.sampled_from(["paper", "journal"]))
def test_a_near_answer_never_earns_as_much_as_a_right_one(near: float, partial: float, preset: str) -> None:
    found = RewardTable.from_section(RewardSection.model_validate({"preset": preset, "partial": partial}))
    assert found.wrong <= found.solver(WRONG) + found.partial_credit(WRONG, near) < found.right
    assert found.partial_credit(RIGHT, near) == found.partial_credit(ILL_FORMED, near) == 0.0
