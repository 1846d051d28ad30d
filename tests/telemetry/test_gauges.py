from collections.abc import Callable
from dataclasses import replace

import pytest

from telemetry.gauges import gauge, gauges
from telemetry.records import StepRecord


@pytest.mark.parametrize(
    ("scalar", "name", "labels"),
    [
        ("reward/deduction/solve", "azr_reward", {"kind": "deduction", "role": "solve"}),
        ("refusal/abduction/num_operators", "azr_refusal", {"kind": "abduction", "reason": "num_operators"}),
        ("solve_rate/induction/never", "azr_solve_rate_never", {"kind": "induction"}),
        ("zero_std", "azr_zero_std", {"kind": "all"}),
        ("zero_std/induction", "azr_zero_std", {"kind": "induction"}),
        ("eval/deduction/arithmetic/accuracy", "azr_eval_accuracy", {"suite": "deduction/arithmetic"}),
        ("eval/deduction/low", "azr_eval_low", {"suite": "deduction"}),
        ("time/solve", "azr_stage_seconds", {"stage": "solve"}),
        ("time/unattributed", "azr_unattributed_share", {}),
        ("counts/dropped", "azr_counts_dropped", {"reason": "all"}),
        ("counts/dropped/masked", "azr_counts_dropped", {"reason": "masked"}),
        ("counts/trained", "azr_counts_trained", {}),
        ("diversity/deduction/operators/entropy", "azr_diversity_entropy", {"kind": "deduction", "trait": "operators"}),
        ("diversity/deduction/rarity", "azr_diversity_rarity", {"kind": "deduction"}),
        ("difficulty/deduction/buffer/p50", "azr_difficulty_buffer_p50", {"kind": "deduction"}),
        ("alarm/mismatch", "azr_alarm", {"alarm": "mismatch"}),
        ("alarm/truncated/deduction/solve", "azr_alarm", {"alarm": "truncated/deduction/solve"}),
        ("mismatch/ratio_p01", "azr_mismatch_ratio_p01", {}),
        ("a-b/c.d", "azr_a_b_c_d", {}),
    ],
)
def test_a_scalar_is_a_gauge_with_labels(scalar: str, name: str, labels: dict[str, str]) -> None:
    made = gauge(scalar, 1.0)
    assert (made.name, dict(made.labels)) == (name, labels)


def test_every_gauge_has_the_same_labels_wherever_it_comes_from(make_record: Callable[..., StepRecord]) -> None:
    record = make_record(3, accuracy=0.5)
    found = gauges(replace(record, scalars={**record.scalars, "counts/dropped": 1.0, "counts/dropped/masked": 1.0}))
    keys: dict[str, set[tuple[str, ...]]] = {}
    for one in found:
        keys.setdefault(one.name, set()).add(tuple(label for label, _ in one.labels))
    assert all(len(variants) == 1 for variants in keys.values())
    assert len({(one.name, one.labels) for one in found}) == len(found), "no two scalars share a line"
    assert {"azr_global_step", "azr_step", "azr_policy_version"} <= keys.keys()


def test_what_is_not_a_number_is_left_out(make_record: Callable[..., StepRecord]) -> None:
    record = replace(make_record(1), scalars={"loss/total": float("nan"), "lr": float("inf"), "entropy": 1.0})
    assert [one.name for one in gauges(record)] == ["azr_entropy", "azr_global_step", "azr_step", "azr_policy_version"]
