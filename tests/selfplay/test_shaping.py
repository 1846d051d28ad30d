from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buffers.census import ALL, Census, family_traits
from selfplay.propose import Proposed
from selfplay.rewards import RewardTable
from selfplay.shaping import UNSHAPED, measure, nearness
from selfplay.solve import Attempt, Solved
from tasks.arithmetic.family import ArithmeticFamily
from tasks.records import Admission, AdmissionStatus, Kind, Origin, Pair, Role, Rollout, Task, Verdict, VerdictStatus

TABLE = RewardTable(right=1.0, wrong=-0.5, ill_formed=-1.0, bad_format=-1.0, refused=-0.5, duplicate=-0.2)
D = Kind.DEDUCTION


def task(kind: Kind = D) -> Task:
    return Task(
        task_id="t", kind=kind, program="a + b", pairs=(Pair(input="40, 60", output="100"),), num_shown=1, fingerprint="t",
        origin=Origin.PROPOSED, step=1,
    )  # fmt: skip


def rollout(text: str, role: Role, kind: Kind = D) -> Rollout:
    return Rollout(
        task_id="t", attempt=0, step=1, kind=kind, role=role, prompt_ids=(1,), completion_ids=(3,), logprobs=(-0.1,),
        temperature=1.0, text=text, finish_reason="stop", policy_version=0, weight_fingerprint="f", sampler_id="s", seed=0,
    )  # fmt: skip


def solved(status: VerdictStatus, text: str, kind: Kind = D) -> Solved:
    verdict = Verdict(attempt_id="t", status=status, reason="r")
    attempt = Attempt(rollout=rollout(text, Role.SOLVE, kind), verdict=verdict, measures=True, trainable=True)
    return Solved(task=task(kind), prompt="p", attempts=(attempt,))


@pytest.mark.parametrize(
    ("truth", "answer", "expected"),
    [
        ("100", "99", 0.99),
        ("100", "150", 0.5),
        ("100", "-100", 0.0),
        ("100", "1" + "0" * 900, 0.0),
        ("-4", "-3", 0.75),
        ("0", "1", 0.0),
        ("0", "0", 1.0),
        ("[1, 2]", "[1, 3]", 0.0),
        ("5", "5.0", 0.0),
        ("5", "", 0.0),
        ("5", "5" * 5000, 0.0),
    ],
)
def test_nearness_falls_with_the_relative_error(truth: str, answer: str, expected: float) -> None:
    assert nearness(truth, answer) == pytest.approx(expected)


@given(st.text(max_size=8), st.text(max_size=8))
def test_nearness_of_any_text_lies_from_zero_to_one(truth: str, answer: str) -> None:
    assert 0 <= nearness(truth, answer) <= 1


@given(st.integers(-(10**30), 10**30), st.integers(0, 10**30), st.integers(0, 10**30))
def test_a_nearer_answer_is_never_worth_less(truth: int, error: int, more: int) -> None:
    assert nearness(str(truth), str(truth + error)) >= nearness(str(truth), str(truth + error + more))


@pytest.mark.parametrize(
    ("status", "text", "kind", "expected"),
    [
        (VerdictStatus.WRONG, " 90\n", D, 0.9),
        (VerdictStatus.RIGHT, "100", D, 0.0),
        (VerdictStatus.ILL_FORMED, "90", D, 0.0),  # cut by length: never judged as if it were whole
        (VerdictStatus.WRONG, "nothing", D, 0.0),
        (VerdictStatus.WRONG, "40, 61", Kind.ABDUCTION, 0.0),
    ],
)
def test_nearness_is_measured_of_wrong_answers_of_deduction(
    status: VerdictStatus, text: str, kind: Kind, expected: float, family: ArithmeticFamily
) -> None:
    found = measure(replace(TABLE, partial=0.5), family, [], [solved(status, text, kind)], {})
    assert found.nearness == (pytest.approx(expected),)
    assert found.rarities is None


def test_rarity_is_measured_of_admitted_proposals_against_the_census(family: ArithmeticFamily) -> None:
    admitted = Admission(proposal_id="t", status=AdmissionStatus.ADMITTED, reason="ok", task=task())
    refused = Admission(proposal_id="u", status=AdmissionStatus.REFUSED, reason="duplicate")
    proposals = [
        Proposed(prompt="p", rollout=rollout("x", Role.PROPOSE), admission=admission, trainable=True)
        for admission in (admitted, refused)
    ]
    value = family_traits(family)(task())[ALL]
    crowded, empty = ({D: Census(size=9, traits={ALL: counts}, difficulties={})} for counts in ({value: 9}, {"others": 9}))
    table = replace(TABLE, novelty=0.5)
    assert measure(table, family, proposals, [], crowded).rarities == (0.0, 0.0)
    assert measure(table, family, proposals, [], empty).rarities == (1.0, 0.0)


def test_nothing_is_measured_where_nothing_is_asked_for(family: ArithmeticFamily) -> None:
    assert measure(TABLE, family, [], [solved(VerdictStatus.WRONG, "9")], {}) == UNSHAPED


def test_traits_are_those_of_admitted_tasks_and_only_where_levels_are_taken_out() -> None:
    family = ArithmeticFamily()
    admitted = Proposed(
        prompt="",
        rollout=rollout("", Role.PROPOSE),
        admission=Admission(proposal_id="t", status=AdmissionStatus.ADMITTED, reason="ok", task=task()),
        trainable=True,
    )
    refused = Proposed(
        prompt="",
        rollout=rollout("", Role.PROPOSE),
        admission=Admission(proposal_id="t", status=AdmissionStatus.REFUSED, reason="heldout"),
        trainable=True,
    )
    found = measure(replace(TABLE, level=1.0), family, [admitted, refused], [], {})
    assert found.traits == (family_traits(family)(task())[ALL], "")
    assert found.rarities is None
    assert measure(TABLE, family, [admitted, refused], [], {}).traits is None
