from dataclasses import replace

import pytest

from learner.advantages import make_estimator
from selfplay.judge import Judged, judge
from selfplay.propose import DEFERRED, DUPLICATE, Proposed
from selfplay.rewards import RewardTable
from selfplay.shaping import Shaping
from selfplay.solve import Attempt, Solved
from tasks.records import Admission, AdmissionStatus, Kind, Origin, Pair, Role, Rollout, Task, Verdict, VerdictStatus

TABLE = RewardTable(right=1.0, wrong=-0.5, ill_formed=-1.0, bad_format=-1.0, refused=-0.5, duplicate=-0.2)
SHAPED = replace(TABLE, novelty=0.4, partial=0.5)


def rollout(task_id: str, role: Role, attempt: int = 0, kind: Kind = Kind.DEDUCTION) -> Rollout:
    return Rollout(
        task_id=task_id, attempt=attempt, step=1, kind=kind, role=role, prompt_ids=(1, 2), completion_ids=(3,),
        logprobs=(-0.1,), temperature=1.0, text="x", finish_reason="stop", policy_version=0, weight_fingerprint="f",
        sampler_id="s", seed=0,
    )  # fmt: skip


def task(task_id: str, kind: Kind = Kind.DEDUCTION) -> Task:
    return Task(
        task_id=task_id, kind=kind, program="a + b", pairs=(Pair(input="1, 2", output="3"),), num_shown=1, fingerprint=task_id,
        origin=Origin.PROPOSED, step=1,
    )  # fmt: skip


def proposed(name: str, status: AdmissionStatus = AdmissionStatus.ADMITTED) -> Proposed:
    held = task(name) if status is AdmissionStatus.ADMITTED else None
    admission = Admission(proposal_id=name, status=status, reason="r", task=held)
    return Proposed(prompt="p", rollout=rollout(name, Role.PROPOSE), admission=admission, trainable=True)


def solved(name: str, rights: int, of: int = 4) -> Solved:
    statuses = [VerdictStatus.RIGHT] * rights + [VerdictStatus.WRONG] * (of - rights)
    attempts = tuple(
        Attempt(
            rollout=rollout(name, Role.SOLVE, number),
            verdict=Verdict(attempt_id=f"{name}#{number}", status=status, reason="r"),
            measures=True,
            trainable=True,
        )
        for number, status in enumerate(statuses)
    )
    return Solved(task=task(name), prompt="p", attempts=attempts)


def run(proposals: list[Proposed], tasks: list[Solved]) -> Judged:
    return judge(proposals, tasks, TABLE, make_estimator("trrpp"))


def test_proposers_are_paid_by_the_attempts_at_their_own_task() -> None:
    judged = run([proposed("a"), proposed("b"), proposed("c")], [solved("a", 1), solved("b", 4), solved("c", 0)])
    assert [item.reward for item in judged.proposals] == [0.75, 0.0, 0.0]


def test_a_repeat_is_told_from_other_refusals_by_its_reason() -> None:
    refused = proposed("b", AdmissionStatus.REFUSED)
    repeat = replace(refused, admission=replace(refused.admission, reason=DUPLICATE))
    assert [item.reward for item in run([repeat, refused], []).proposals] == [-0.2, -0.5]


def test_both_roles_are_compared_only_within_their_own_group() -> None:
    judged = run([proposed("a"), proposed("b")], [solved("a", 1), solved("b", 3)])
    for trajectories in (judged.proposals, judged.attempts):
        assert sum(item.advantage for item in trajectories) == pytest.approx(0, abs=1e-9)
    assert judged.proposals[0].advantage == pytest.approx(1, abs=1e-5)  # 0.75 against 0.25: one σ above the mean


def test_proposals_after_the_last_attempted_one_are_left_out_valid_or_not() -> None:
    """Kept alone, the invalid ones among them would be over-weighted against those whose reward is unknown."""
    bad = AdmissionStatus.BAD_FORMAT
    items = [proposed("a"), proposed("b", bad), proposed("c"), proposed("d", bad), proposed("e")]
    judged = run(items, [solved("a", 1), solved("c", 2)])
    assert [item.trainable for item in judged.proposals] == [True, True, True, False, False]
    assert judged.dropped == {"surplus": 2, "masked": 0, "measuring": 0}


def test_a_deferred_proposal_is_neither_paid_nor_punished_and_leaves_the_others_as_they_are() -> None:
    held = proposed("late")
    held = replace(held, admission=replace(held.admission, reason=DEFERRED))
    others, tasks = [proposed("a"), proposed("b")], [solved("a", 1), solved("b", 3)]
    judged, without = run([others[0], held, others[1]], tasks), run(others, tasks)
    assert [item.advantage for item in judged.proposals] == [
        without.proposals[0].advantage, 0.0, without.proposals[1].advantage,
    ]  # fmt: skip
    assert judged.batch == without.batch
    assert judged.dropped == {"surplus": 0, "masked": 0, "measuring": 0, "deferred": 1}


def test_all_proposals_are_trained_on_when_every_admitted_one_was_attempted() -> None:
    bad = AdmissionStatus.BAD_FORMAT
    judged = run([proposed("a"), proposed("b", bad)], [solved("a", 1), solved("buffered", 2)])
    assert [item.trainable for item in judged.proposals] == [True, True]
    assert [item.reward for item in judged.proposals] == [0.75, -1.0]


def test_the_zero_variance_share_counts_tasks_whose_attempts_agree() -> None:
    judged = run([], [solved("a", 4), solved("b", 0), solved("c", 2), solved("d", 1)])
    assert judged.zero_std == {"zero_std/deduction": 0.5, "zero_std": 0.5}


def test_a_sample_without_gradient_takes_no_part_in_the_statistics() -> None:
    """A masked attempt would otherwise move the mean that the others are compared with."""
    task = solved("a", 2)
    masked = tuple(replace(attempt, trainable=number != 3) for number, attempt in enumerate(task.attempts))
    judged = run([], [replace(task, attempts=masked)])
    advantages = [item.advantage for item in judged.attempts]
    assert advantages[3] == 0
    assert advantages[:3] == pytest.approx([0.5**0.5, 0.5**0.5, -(2**0.5)], abs=1e-5)  # of 1, 1, -1/2 alone
    assert len(judged.batch) == 3


def test_extras_are_paid_on_top_and_told_apart() -> None:
    bad = AdmissionStatus.BAD_FORMAT
    proposals = [proposed("a"), proposed("b"), proposed("c", bad)]
    shaping = Shaping(rarities=(0.5, 1.0, 0.0), nearness=(0.0, 0.0, 0.9, 0.2) + (0.0,) * 4)
    judged = judge(proposals, [solved("a", 2), solved("b", 4)], SHAPED, make_estimator("trrpp"), shaping)
    assert [item.reward for item in judged.proposals] == pytest.approx([0.5 + 0.4 * 0.5, 0.0, -1.0])  # b teaches nothing
    assert [item.reward for item in judged.attempts[:4]] == pytest.approx([1.0, 1.0, -0.5 + 0.45 * 1.5, -0.5 + 0.1 * 1.5])
    assert judged.extras[Role.PROPOSE] == pytest.approx((0.2, 0.0, 0.0))
    assert judged.extras[Role.SOLVE] == pytest.approx((0.0, 0.0, 0.675, 0.15) + (0.0,) * 4)


def test_partial_credit_gives_a_signal_where_all_answers_are_wrong_but_no_learnability() -> None:
    shaping = Shaping(nearness=(0.9, 0.0, 0.0, 0.0))
    judged = judge([proposed("a")], [solved("a", 0)], SHAPED, make_estimator("trrpp"), shaping)
    assert judged.zero_std["zero_std"] == 0
    assert [item.reward for item in judged.proposals] == [0.0]


def test_without_shaping_there_are_no_extras() -> None:
    assert run([proposed("a")], [solved("a", 2)]).extras == {}


def test_a_level_moves_advantages_and_no_reward() -> None:
    proposals = [proposed("a"), proposed("b"), proposed("c"), proposed("bad", AdmissionStatus.BAD_FORMAT)]
    tasks = [solved("a", 1), solved("b", 2), solved("c", 2)]
    shaping = Shaping(traits=("minus", "plus", "plus", ""))
    plain = judge(proposals, tasks, TABLE, make_estimator("trrpp"), shaping)
    levelled = judge(proposals, tasks, replace(TABLE, level=1.0), make_estimator("trrpp"), shaping)
    assert [item.reward for item in levelled.proposals] == [item.reward for item in plain.proposals]
    assert levelled.attempts == plain.attempts
    gap = [item.proposals[0].advantage - item.proposals[1].advantage for item in (plain, levelled)]
    assert 0 < gap[1] < gap[0]
    assert levelled.proposals[1].advantage == levelled.proposals[2].advantage
    assert levelled.proposals[3].advantage < 0


def test_what_is_not_trained_on_takes_no_part_in_levels() -> None:
    table = replace(TABLE, level=1.0)
    traits = ("minus", "plus", "plus")
    held = replace(proposed("c"), trainable=False)
    with_it = judge(
        [proposed("a"), proposed("b"), held],
        [solved("a", 1), solved("b", 2)],
        table,
        make_estimator("trrpp"),
        Shaping(traits=traits),
    )
    without = judge(
        [proposed("a"), proposed("b")],
        [solved("a", 1), solved("b", 2)],
        table,
        make_estimator("trrpp"),
        Shaping(traits=traits[:2]),
    )
    assert [item.advantage for item in with_it.proposals[:2]] == [item.advantage for item in without.proposals]
