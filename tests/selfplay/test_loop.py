import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from configs.errors import UserError
from configs.schema import RunConfig
from selfplay.loop import Parts, SelfPlay
from tasks.arithmetic.family import ArithmeticFamily
from tasks.records import Kind, Role
from telemetry.records import Phase, StepRecord


def play(config: RunConfig, family: ArithmeticFamily, parts: Parts, run_dir: Path) -> list[StepRecord]:
    SelfPlay(config, family, parts, run_dir).run()
    return parts.telemetry.records  # type: ignore[attr-defined]


def curve(records: list[StepRecord]) -> list[tuple[int, int, int, dict[str, float], tuple[object, ...]]]:
    """Everything but what the clock measured."""
    return [
        (
            record.global_step,
            record.step,
            record.version,
            {name: value for name, value in record.scalars.items() if not name.startswith("time/") and name != "tokens/per_s"},
            (record.proposals, record.attempts, record.tasks, record.evals),
        )
        for record in records
    ]


def test_one_step_plays_all_kinds_and_roles_and_every_rollout_is_trained_or_dropped(
    small_config: RunConfig, family: ArithmeticFamily, parts: Parts, tmp_path: Path
) -> None:
    records = [
        record for record in play(small_config, family, parts, tmp_path) if record.phase is Phase.SELF_PLAY and record.step
    ]
    for record, batch in zip(records, parts.learner.batches, strict=True):  # type: ignore[attr-defined]
        seen = Counter((item.rollout.kind, item.rollout.role) for item in batch)
        assert set(seen) == {(kind, role) for kind in Kind for role in Role}
        scalars = record.scalars
        assert scalars["counts/proposed"] == 3 * 4 * 2
        assert scalars["counts/attempted"] == 3 * 4 * 4
        rollouts = scalars["counts/proposed"] + scalars["counts/attempted"]
        assert scalars["counts/trained"] + scalars["counts/dropped"] == rollouts
        assert scalars["counts/trained"] == len(batch)


def test_every_row_says_why_it_was_not_trained_on(
    small_config: RunConfig, family: ArithmeticFamily, parts: Parts, tmp_path: Path
) -> None:
    solver = small_config.solver.model_copy(update={"reuse_attempts": False, "truncated": "mask"})
    seen = Counter[str]()
    for record in play(small_config.model_copy(update={"solver": solver}), family, parts, tmp_path):
        dropped = Counter(row.dropped for row in (*record.proposals, *record.attempts) if row.dropped)
        if record.phase is Phase.SEEDING:
            assert dropped.total() == dropped["seeding"] == len(record.proposals)
            continue
        reasons = {name.rpartition("/")[2]: count for name, count in record.scalars.items() if "counts/dropped/" in name}
        assert dropped == {reason: count for reason, count in reasons.items() if count}
        assert all(row.trained == (not row.dropped) for row in record.attempts)
        seen |= dropped
    assert set(seen) == {"surplus", "masked", "measuring"}


def test_every_rollout_of_a_step_comes_from_the_weights_published_before_it(
    small_config: RunConfig, family: ArithmeticFamily, parts: Parts, tmp_path: Path
) -> None:
    play(small_config, family, parts, tmp_path)
    for number, batch in enumerate(parts.learner.batches):  # type: ignore[attr-defined]
        assert {item.rollout.policy_version for item in batch} == {number}


def test_no_two_sampled_requests_share_a_seed_by_accident(
    small_config: RunConfig, family: ArithmeticFamily, parts: Parts, tmp_path: Path
) -> None:
    play(small_config, family, parts, tmp_path)
    sampled = [request for request in parts.generator.requests if request.temperature > 0]  # type: ignore[attr-defined]
    assert len({request.attempt_id for request in sampled}) == len(sampled)
    assert len({request.seed for request in sampled}) > 0.999 * len(sampled)


def test_buffers_grow_by_admitted_proposals_and_by_nothing_else(
    small_config: RunConfig, family: ArithmeticFamily, parts: Parts, tmp_path: Path
) -> None:
    records = [record for record in play(small_config, family, parts, tmp_path) if record.phase is Phase.SELF_PLAY]
    for before, after in itertools.pairwise(records):
        growth = sum(after.scalars[f"buffer/{kind}"] - before.scalars[f"buffer/{kind}"] for kind in Kind)
        assert growth == after.scalars["counts/admitted"]


@pytest.mark.slow
def test_the_paper_scheme_trains_one_fresh_attempt_per_task_and_not_those_that_measure(
    small_config: RunConfig, family: ArithmeticFamily, parts: Parts, tmp_path: Path
) -> None:
    config = small_config.model_copy(update={"solver": small_config.solver.model_copy(update={"reuse_attempts": False})})
    play(config, family, parts, tmp_path)
    for batch in parts.learner.batches:  # type: ignore[attr-defined]
        attempts = [item.rollout.attempt for item in batch if item.rollout.role is Role.SOLVE]
        assert attempts == [4] * 12


def test_a_share_of_the_tasks_comes_from_the_buffer_and_kinds_may_weigh_differently(
    small_config: RunConfig, family: ArithmeticFamily, parts: Parts, tmp_path: Path
) -> None:
    solver = small_config.solver.model_copy(update={"fresh_share": 0.5, "top_up": "frontier"})
    config = small_config.model_copy(update={"solver": solver, "kind_weights": {"deduction": 2.0}})
    for record in play(config, family, parts, tmp_path):
        if record.phase is Phase.SELF_PLAY and record.step:
            assert Counter(row.kind for row in record.tasks) == {"deduction": 8, "abduction": 4, "induction": 4}
            assert Counter(row.kind for row in record.proposals) == {"deduction": 8, "abduction": 4, "induction": 4}
            fresh = Counter(row.kind for row in record.tasks if row.task_id.startswith(f"step{record.step}-"))
            assert all(fresh[kind] <= config.num_fresh(kind) for kind in fresh)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["refuse", "reattempt"])
def test_a_buffered_task_that_is_proposed_again_is_refused_or_attempted_anew_but_held_once(
    policy: str, small_config: RunConfig, family: ArithmeticFamily, parts: Parts, tmp_path: Path
) -> None:
    config = small_config.model_copy(update={"proposer": small_config.proposer.model_copy(update={"duplicates": policy})})
    parts.generator._text = lambda request, rng: "55 + 66" if request.role is Role.PROPOSE else "121"  # type: ignore[attr-defined]
    records = [
        record for record in play(config, family, parts, tmp_path) if record.phase is Phase.SELF_PLAY and record.step > 1
    ]
    rows = [row for record in records for row in record.proposals if row.kind == "deduction"]
    assert {row.reason for row in rows} == ({"duplicate"} if policy == "refuse" else {"duplicate", "known"})
    assert all((row.solve_rate is not None) == (row.reason == "known") for row in rows)
    assert len({record.scalars["buffer/deduction"] for record in records}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mask", "penalise"])
def test_a_completion_cut_by_length_is_never_scored_as_if_whole(
    policy: str, small_config: RunConfig, family: ArithmeticFamily, parts: Parts, tmp_path: Path
) -> None:
    config = small_config.model_copy(update={"solver": small_config.solver.model_copy(update={"truncated": policy})})
    records = play(config, family, parts, tmp_path)
    rows = [row for record in records for row in record.attempts if row.truncated]
    assert rows
    assert {(row.status, row.reason) for row in rows} == {("ill_formed", "truncated")}
    trained = [item for batch in parts.learner.batches for item in batch if item.rollout.truncated]  # type: ignore[attr-defined]
    assert bool(trained) == (policy == "penalise")


def test_a_resumed_run_repeats_the_uninterrupted_one_bit_for_bit(
    small_config: RunConfig, family: ArithmeticFamily, parts: Parts, other_parts: Parts, verifier: object, tmp_path: Path
) -> None:
    whole = play(small_config, family, parts, tmp_path / "whole")
    config = small_config.model_copy(update={"run": small_config.run.model_copy(update={"steps": 4})})
    first = play(config, family, other_parts, tmp_path / "torn")
    resumed = replace(other_parts, learner=type(other_parts.learner)(), telemetry=type(other_parts.telemetry)())
    second = play(small_config, family, resumed, tmp_path / "torn")
    cut = next(index for index, record in enumerate(first) if record.step == 4 and record.phase is Phase.SELF_PLAY)
    assert curve(second) == curve(whole)[cut + 1 :]
    assert resumed.learner.weight == parts.learner.weight  # type: ignore[attr-defined]


@pytest.mark.slow
def test_the_newest_checkpoints_and_the_best_one_are_kept(
    small_config: RunConfig, family: ArithmeticFamily, parts: Parts, tmp_path: Path
) -> None:
    state = SelfPlay(small_config, family, parts, tmp_path).run()
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert names <= {"step-000004", "step-000006", f"step-{state.best_step:06d}"}
    assert {"step-000004", "step-000006"} <= names


def test_a_corrupt_checkpoint_is_one_line_that_names_it_and_the_remedy(
    small_config: RunConfig, family: ArithmeticFamily, parts: Parts, tmp_path: Path
) -> None:
    SelfPlay(small_config, family, parts, tmp_path).run()
    (tmp_path / "checkpoints" / "step-000006" / "state.json").write_text("{")
    with pytest.raises(UserError, match="step-000006, the one before it is used") as caught:
        SelfPlay(small_config, family, parts, tmp_path).run()
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_stages_sum_to_the_step(small_config: RunConfig, family: ArithmeticFamily, parts: Parts, tmp_path: Path) -> None:
    for record in play(small_config, family, parts, tmp_path):
        if record.phase is Phase.SELF_PLAY and record.step:
            stages = sum(
                value
                for name, value in record.scalars.items()
                if name.startswith("time/") and name not in ("time/step", "time/unattributed")
            )
            assert stages == pytest.approx(record.scalars["time/step"] * (1 - record.scalars["time/unattributed"]), rel=1e-6)
