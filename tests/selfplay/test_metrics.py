"""What a step says of itself, from a loop with every part real but the model."""

import operator
import random
from collections import Counter
from pathlib import Path

import pytest

from configs.schema import RunConfig
from selfplay.loop import Parts, SelfPlay
from tasks.arithmetic.family import ArithmeticFamily
from tasks.records import Kind, Request, Role
from telemetry.records import Phase, StepRecord

OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul}
TRAITS = ("operators", "digits", "shape", "size", "all")


def play(config: RunConfig, family: ArithmeticFamily, parts: Parts, run_dir: Path) -> list[StepRecord]:
    """The self-play records, the first of which is from before any step. Half of the sums are answered right."""
    plain = parts.generator._text  # type: ignore[attr-defined]

    def text(request: Request, rng: random.Random) -> str:
        words = request.prompt.split()
        if request.role is Role.SOLVE and request.kind is Kind.DEDUCTION and len(words) == 5:
            value = OPERATORS[words[2]](int(words[1]), int(words[3]))
            return str(value + rng.choice([0, 0, 1, 2]))
        return str(plain(request, rng))

    parts.generator._text = text  # type: ignore[attr-defined]
    SelfPlay(config, family, parts, run_dir).run()
    return [record for record in parts.telemetry.records if record.phase is Phase.SELF_PLAY]  # type: ignore[attr-defined]


def with_reward(config: RunConfig, **values: object) -> RunConfig:
    return config.model_copy(update={"reward": config.reward.model_copy(update=values)})


def test_seeds_are_told_once_and_every_step_beside_them(
    small_config: RunConfig, family: ArithmeticFamily, parts: Parts, tmp_path: Path
) -> None:
    first, *steps = play(small_config, family, parts, tmp_path)
    for kind in Kind:
        for trait in TRAITS:
            assert first.scalars[f"diversity/{kind}/{trait}/seeds"] >= 0
            assert f"diversity/{kind}/{trait}/entropy" not in first.scalars
    told = Counter(name for record in steps for name in record.scalars)
    for name in ("operators/entropy", "operators/normalised", "operators/of_seeds", "all/of_seeds", "rarity", "duplicate"):
        assert told[f"diversity/deduction/{name}"] > 0, name
    assert told["difficulty/induction/buffer/p50"] == len(steps)


@pytest.mark.slow
def test_bins_and_shares_agree_with_the_rows(
    small_config: RunConfig, family: ArithmeticFamily, parts: Parts, tmp_path: Path
) -> None:
    checked = 0
    for record in play(small_config, family, parts, tmp_path)[1:]:
        rates = {
            kind: [row.solve_rate for row in record.proposals if row.kind == kind and row.solve_rate is not None]
            for kind in Kind
        }
        rewarded = {kind: sum(0 < rate < 1 for rate in found) for kind, found in rates.items()}
        for kind in Kind:
            bins = [
                record.scalars.get(f"learnability/{kind}/{name}", 0.0) for name in ("s0", "s25", "s50", "s75", "s99", "s100")
            ]
            assert sum(bins) == len(rates[kind])
            assert sum(bins[1:-1]) == rewarded[kind]
            if sum(rewarded.values()):
                assert record.scalars[f"learnability/{kind}/share"] == rewarded[kind] / sum(rewarded.values())
                checked += 1
    assert checked


def test_duplicates_are_counted_among_what_reads(
    small_config: RunConfig, family: ArithmeticFamily, parts: Parts, tmp_path: Path
) -> None:
    for record in play(small_config, family, parts, tmp_path)[1:]:
        for kind in Kind:
            rows = [row for row in record.proposals if row.kind == kind]
            repeats = sum(row.reason == "duplicate" for row in rows)
            readable = repeats + sum(row.status == "admitted" for row in rows)
            if readable:
                assert record.scalars[f"diversity/{kind}/duplicate"] == repeats / readable


@pytest.mark.slow
def test_optional_parts_of_the_rewards_are_logged_apart_when_they_are_on(
    small_config: RunConfig, family: ArithmeticFamily, parts: Parts, other_parts: Parts, tmp_path: Path
) -> None:
    plain = play(small_config, family, parts, tmp_path / "plain")
    shaped = play(with_reward(small_config, novelty=0.5, partial=0.5), family, other_parts, tmp_path / "shaped")
    assert not [name for record in plain for name in record.scalars if name.startswith("reward_part/")]
    novelty = [
        record.scalars[f"reward_part/{kind}/novelty"]
        for record in shaped[1:]
        for kind in Kind
        if f"reward_part/{kind}/novelty" in record.scalars
    ]
    partial = [record.scalars["reward_part/deduction/partial"] for record in shaped[1:]]
    assert 0 < max(novelty) <= 0.5
    assert 0 <= max(partial) < 0.5 * 1.5
    # The same fake model plays both: what differs in a proposal's reward is its bonus.
    before = {row.proposal_id: row.reward for record in plain for row in record.proposals}
    for record in shaped[1:]:
        for row in record.proposals:
            if row.reward is not None and row.solve_rate is not None:
                bonus = row.reward - (before[row.proposal_id] or 0.0)
                assert 0 <= bonus <= 0.5 if 0 < row.solve_rate < 1 else bonus == pytest.approx(0)


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["parabola", "target"])
def test_the_shape_of_learnability_pays_the_proposer_and_changes_no_instrument(
    shape: str, small_config: RunConfig, family: ArithmeticFamily, parts: Parts, other_parts: Parts, tmp_path: Path
) -> None:
    plain = play(small_config, family, parts, tmp_path / "plain")
    shaped = play(with_reward(small_config, learnability=shape), family, other_parts, tmp_path / "shaped")
    for ours, theirs in zip(shaped[1:], plain[1:], strict=True):
        for name in theirs.scalars:
            if name.startswith(("learnability/", "diversity/", "difficulty/")):
                assert ours.scalars[name] == theirs.scalars[name]
    rewards = [{row.proposal_id: row.reward for record in records for row in record.proposals} for records in (plain, shaped)]
    assert rewards[0] != rewards[1]


def test_paid_is_the_share_of_trained_proposals_that_earn_more_than_0(
    small_config: RunConfig, family: ArithmeticFamily, parts: Parts, tmp_path: Path
) -> None:
    seen = set()
    for record in play(small_config, family, parts, tmp_path)[1:]:
        for kind in Kind:
            rewards = [row.reward for row in record.proposals if row.kind == kind and row.reward is not None]
            assert record.scalars[f"paid/{kind}"] == pytest.approx(sum(reward > 0 for reward in rewards) / len(rewards))
            seen.add(record.scalars[f"paid/{kind}"] > 0)
    assert seen == {False, True}
