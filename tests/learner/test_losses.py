"""The loss terms against hand-worked numbers, and the whole loss against its papers' form on padded batches.

The references are written in numpy over [B, T] rectangles with masks, as TRL's GRPO trainer computes its losses
(`loss_type` bnpo, grpo and dr_grpo are the normalisers token, sequence and constant). The terms work on flat tokens.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from configs.system_sections import LossSection
from learner.losses import (
    Tokens,
    clipped_surrogate,
    entropy_bonus,
    importance,
    kl_to_reference,
    mismatch,
    normaliser,
    role_weights,
    terms,
)


def tokens(ratios: list[float], advantages: list[float], mismatches: list[float] | None = None) -> Tokens:
    old_N = torch.full((len(ratios),), -1.0)
    return Tokens(
        new_N=(old_N + torch.tensor(ratios).log()).requires_grad_(),
        old_N=old_N,
        behaviour_N=old_N - torch.tensor(mismatches or [1.0] * len(ratios)).log(),
        advantages_N=torch.tensor(advantages),
        weights_N=torch.ones(len(ratios)),
        entropies_N=torch.full((len(ratios),), 2.0),
        proposals_N=torch.zeros(len(ratios)),
    )


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "slope"),
    [
        (1.0, 1.0, -1.0, -1.0),
        (1.0, -2.0, 2.0, 2.0),
        (1.5, 1.0, -1.28, 0.0),  # risen beyond the upper clip: no more gradient
        (1.5, -1.0, 1.5, 1.5),  # a bad token made likelier keeps its gradient
        (0.5, 1.0, -0.5, -0.5),
        (0.5, -1.0, 0.8, 0.0),  # fallen beyond the lower clip
    ],
)
def test_surrogate_is_clipped_on_the_side_that_has_gone_far_enough(
    ratio: float, advantage: float, loss: float, slope: float
) -> None:
    seen = tokens([ratio], [advantage])
    term = clipped_surrogate(LossSection(), seen)
    (gradient,) = torch.autograd.grad(term.loss, seen.new_N)
    assert term.loss.item() == pytest.approx(loss, abs=1e-6)
    assert gradient.item() == pytest.approx(slope, abs=1e-6)
    assert term.metrics["clip_frac"].item() == float(slope == 0)


def test_importance_weight_is_truncated_and_masks_extremes_on_both_sides() -> None:
    section = LossSection(importance_cap=2.0, importance_mask=100.0)
    old_N = torch.tensor([0.5, 1.5, 3.0, 200.0, 1 / 200]).log()
    weights_N, kept_N = importance(section, old_N, torch.zeros(5))
    assert weights_N.tolist() == pytest.approx([0.5, 1.5, 2.0, 0.0, 0.0])
    assert kept_N.tolist() == [True, True, True, False, False]


def test_masked_tokens_bring_no_gradient() -> None:
    seen = tokens([1.0, 1.0], [1.0, 1.0], mismatches=[1.0, 1e6])
    term = clipped_surrogate(LossSection(), seen)
    (gradient,) = torch.autograd.grad(term.loss, seen.new_N)
    assert gradient.tolist() == pytest.approx([-1.0, 0.0])
    assert term.metrics["masked"].tolist() == [0.0, 1.0]


def test_k3_is_zero_at_the_reference_and_positive_elsewhere() -> None:
    section = LossSection(kl_beta=0.1)
    seen = tokens([1.0, 2.0], [0.0, 0.0])
    term = kl_to_reference(section, seen, torch.full((2,), -1.0))
    expected = 0.5 - math.log(0.5) - 1
    assert term.metrics["kl"].tolist() == pytest.approx([0.0, expected], abs=1e-6)
    assert term.loss.item() == pytest.approx(0.1 * expected, abs=1e-6)
    (gradient,) = torch.autograd.grad(term.loss, seen.new_N)
    assert gradient.tolist() == pytest.approx([0.0, 0.1 * (1 - 0.5)], abs=1e-6)  # d/dnew = 1 - pi_ref/pi_new


def test_entropy_is_rewarded_and_measured() -> None:
    term = entropy_bonus(LossSection(entropy_coef=0.5), tokens([1.0, 1.0], [0.0, 0.0]))
    assert term.loss.item() == pytest.approx(-2.0)
    assert term.metrics["entropy"].tolist() == [2.0, 2.0]


def test_the_entropy_of_proposals_counts_by_its_own_coefficient_besides() -> None:
    section = LossSection(entropy_coef=0.5, proposer_entropy_coef=0.25)
    seen = replace(tokens([1.0, 1.0, 1.0], [0.0, 0.0, 0.0]), proposals_N=torch.tensor([0.0, 1.0, 1.0]))
    seen = replace(seen, weights_N=torch.tensor([1.0, 1.0, 3.0]), entropies_N=torch.tensor([2.0, 1.0, 5.0], requires_grad=True))
    term = entropy_bonus(section, seen)
    assert term.loss.item() == pytest.approx(-(0.5 * 2 + 0.75 * 1 + 3 * 0.75 * 5))
    (gradient,) = torch.autograd.grad(term.loss, seen.entropies_N)
    assert gradient.tolist() == pytest.approx([-0.5, -0.75, -2.25])


def test_terms_hold_the_reference_only_when_there_is_one() -> None:
    assert set(terms(LossSection(), tokens([1.0], [1.0]))) == {"policy", "entropy"}


@pytest.mark.parametrize(
    ("name", "expected"), [("token", [1 / 8, 1 / 8]), ("sequence", [1 / 4, 1 / 12]), ("constant", [1 / 20, 1 / 20])]
)
def test_normaliser_weighs_tokens_as_it_says(name: str, expected: list[float]) -> None:
    section = LossSection.model_validate({"normaliser": name, "constant_length": 10})
    assert normaliser(section, np.array([2, 6])).tolist() == pytest.approx(expected)


@given(st.lists(st.booleans(), min_size=1, max_size=20), st.floats(0.1, 10))
def test_roles_share_the_loss_as_weighted_and_its_sum_stays(proposals: list[bool], weight: float) -> None:
    proposals_S = np.array(proposals)
    weights_S = role_weights(LossSection(proposer_weight=weight), proposals_S)
    assert weights_S.sum() == pytest.approx(len(proposals), rel=1e-4)
    if proposals_S.any() and not proposals_S.all():
        assert weights_S[proposals_S] == pytest.approx(weight * weights_S[~proposals_S][0], rel=1e-4)
    assert role_weights(LossSection(), proposals_S) == pytest.approx(np.ones(len(proposals)))


def test_mismatch_of_a_sampler_that_doubles_every_second_token() -> None:
    old_N = np.log(np.array([0.5, 0.5], np.float32))
    behaviour_N = np.log(np.array([0.5, 0.25], np.float32))
    found = mismatch(old_N, behaviour_N)
    assert found["mismatch/max"] == pytest.approx(math.log(2), abs=1e-6)
    assert found["mismatch/mean"] == pytest.approx(math.log(2) / 2, abs=1e-6)
    assert found["mismatch/kl"] == pytest.approx((2 - 1 - math.log(2)) / 2, abs=1e-6)
    assert found["mismatch/ess"] == pytest.approx(9 / (2 * 5), abs=1e-6)
    assert found["mismatch/ratio_p01"] == pytest.approx(1.01, abs=1e-6)
    assert found["mismatch/ratio_p99"] == pytest.approx(1.99, abs=1e-6)


def test_mismatch_of_the_same_numbers_is_none_at_all() -> None:
    found = mismatch(np.full(3, -1.0, np.float32), np.full(3, -1.0, np.float32))
    assert found["mismatch/max"] == 0
    assert found["mismatch/ess"] == pytest.approx(1)


def test_the_two_clips_are_apart() -> None:
    section = LossSection(clip_low=0.1, clip_high=0.4)
    seen = tokens([1.35, 1.45, 0.95, 0.85], [1.0, 1.0, -1.0, -1.0])
    term = clipped_surrogate(section, seen)
    (gradient,) = torch.autograd.grad(term.loss, seen.new_N)
    assert term.metrics["clip_frac"].tolist() == [0.0, 1.0, 0.0, 1.0]
    assert gradient.tolist() == pytest.approx([-1.35, 0.0, 0.95, 0.0], abs=1e-6)


def test_the_importance_weight_scales_the_surrogate_but_neither_kl_nor_entropy() -> None:
    section = LossSection(kl_beta=0.1, entropy_coef=0.5, importance_cap=2.0)
    plain, off = (tokens([1.0], [1.0], mismatches=[ratio]) for ratio in (1.0, 8.0))
    found = [terms(section, replace(seen, reference_N=torch.full((1,), -2.0))) for seen in (plain, off)]
    assert found[1]["policy"].loss.item() == pytest.approx(2 * found[0]["policy"].loss.item())
    assert found[1]["kl"].loss.item() == found[0]["kl"].loss.item() > 0
    assert found[1]["entropy"].loss.item() == found[0]["entropy"].loss.item() < 0


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_normalisers_share_out_what_their_papers_say(lengths: list[int]) -> None:
    """All tokens together weigh 1 under token and sequence; under sequence each sample weighs 1/S."""
    lengths_S = np.array(lengths)
    shares = {
        name: normaliser(LossSection.model_validate({"normaliser": name, "constant_length": 7}), lengths_S) * lengths_S
        for name in ("token", "sequence", "constant")
    }
    assert shares["token"].tolist() == pytest.approx((lengths_S / lengths_S.sum()).tolist())
    assert shares["sequence"].tolist() == pytest.approx([1 / len(lengths)] * len(lengths))
    assert shares["constant"].tolist() == pytest.approx((lengths_S / (7 * len(lengths))).tolist())


@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)), min_size=2, max_size=6))
def test_k3_is_an_unbiased_estimate_of_the_kl_and_never_negative(masses: list[tuple[float, float]]) -> None:
    """The mean of k3 over what the policy samples is KL(policy ‖ reference), summed over the vocabulary."""
    new_V, reference_V = (np.array(column) / sum(column) for column in zip(*masses, strict=True))
    seen = replace(tokens([1.0] * len(masses), [0.0] * len(masses)), new_N=torch.tensor(np.log(new_V)))
    k3_V = kl_to_reference(LossSection(kl_beta=1.0), seen, torch.tensor(np.log(reference_V))).metrics["kl"].numpy()
    assert (k3_V >= -1e-12).all()
    assert (new_V * k3_V).sum() == pytest.approx((new_V * np.log(new_V / reference_V)).sum(), abs=1e-9)


FloatBT = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Padded:
    """A batch as the papers have it: logprobs [B, T], one advantage per row, a mask over the completion tokens."""

    new_BT: FloatBT
    old_BT: FloatBT
    behaviour_BT: FloatBT
    reference_BT: FloatBT
    entropies_BT: FloatBT
    advantages_B: FloatBT
    proposals_B: npt.NDArray[np.bool_]
    mask_BT: npt.NDArray[np.bool_]


def random_padded(seed: int, spread: float) -> Padded:
    rng = np.random.default_rng(seed)
    num_rows, longest = rng.integers(1, 6), rng.integers(1, 9)
    lengths_B = rng.integers(1, longest + 1, num_rows)
    shape = (num_rows, longest)
    old_BT = rng.uniform(-3, 0, shape)
    return Padded(
        new_BT=old_BT + spread * rng.normal(size=shape),
        old_BT=old_BT,
        behaviour_BT=old_BT + 3 * spread * rng.normal(size=shape),
        reference_BT=old_BT + rng.normal(size=shape),
        entropies_BT=rng.uniform(0, 3, shape),
        advantages_B=rng.normal(size=num_rows),
        proposals_B=rng.random(num_rows) < 0.5,
        mask_BT=np.arange(longest) < lengths_B[:, None],
    )


def published(section: LossSection, batch: Padded, new_BT: FloatBT) -> float:
    """PPO's clip with two bounds, the truncated weight, k3 and the entropy bonus; masked means at the end."""
    ratio_BT, advantages_BT = np.exp(new_BT - batch.old_BT), batch.advantages_B[:, None]
    clipped_BT = np.clip(ratio_BT, 1 - section.clip_low, 1 + section.clip_high)
    losses_BT = np.where(
        advantages_BT > 0, -advantages_BT * np.minimum(ratio_BT, clipped_BT), -advantages_BT * np.maximum(ratio_BT, clipped_BT)
    )
    rho_BT = np.exp(batch.old_BT - batch.behaviour_BT)
    extreme_BT = (rho_BT > section.importance_mask) | (rho_BT < 1 / section.importance_mask)
    losses_BT = losses_BT * np.where(extreme_BT, 0.0, np.minimum(rho_BT, section.importance_cap))
    quotient_BT = np.exp(batch.reference_BT) / np.exp(new_BT)
    losses_BT = losses_BT + section.kl_beta * (quotient_BT - np.log(quotient_BT) - 1)
    coefs_B = np.where(batch.proposals_B, section.entropy_coef + section.proposer_entropy_coef, section.entropy_coef)
    losses_BT = (losses_BT - coefs_B[:, None] * batch.entropies_BT) * batch.mask_BT
    match section.normaliser:
        case "token":
            return float(losses_BT.sum() / batch.mask_BT.sum())
        case "sequence":
            return float((losses_BT.sum(1) / batch.mask_BT.sum(1)).mean())
    return float(losses_BT.sum() / (len(losses_BT) * section.constant_length))


def ours(section: LossSection, batch: Padded, new_BT: FloatBT) -> tuple[float, FloatBT]:
    """The sum of the terms over the flat tokens, and its gradient by new_BT."""
    flat = {name: torch.tensor(getattr(batch, f"{name}_BT")[batch.mask_BT]) for name in ("old", "behaviour", "reference")}
    lengths_B = batch.mask_BT.sum(1)
    new_N = torch.tensor(new_BT[batch.mask_BT], requires_grad=True)
    seen = Tokens(
        new_N=new_N,
        old_N=flat["old"],
        behaviour_N=flat["behaviour"],
        advantages_N=torch.tensor(np.repeat(batch.advantages_B, lengths_B)),
        weights_N=torch.tensor(np.repeat(normaliser(section, lengths_B), lengths_B)),
        entropies_N=torch.tensor(batch.entropies_BT[batch.mask_BT]),
        proposals_N=torch.tensor(np.repeat(batch.proposals_B, lengths_B).astype(np.float32)),
        reference_N=flat["reference"] if section.kl_beta else None,
    )
    loss = torch.stack([term.loss for term in terms(section, seen).values()]).sum()
    gradient_BT = np.zeros(batch.mask_BT.shape)
    gradient_BT[batch.mask_BT] = torch.autograd.grad(loss, new_N)[0].numpy()
    return loss.item(), gradient_BT


sections = st.builds(
    LossSection,
    normaliser=st.sampled_from(["token", "sequence", "constant"]),
    constant_length=st.integers(1, 20),
    clip_low=st.sampled_from([0.1, 0.2]),
    clip_high=st.sampled_from([0.2, 0.28, 0.5]),
    importance_cap=st.sampled_from([1.0, 2.0, 5.0]),
    importance_mask=st.sampled_from([1.5, 1e4]),
    kl_beta=st.sampled_from([0.0, 0.1, 1.0]),
    entropy_coef=st.sampled_from([0.0, 0.01]),
    proposer_entropy_coef=st.sampled_from([0.0, 0.1]),
)


@given(sections, st.integers(0, 10_000), st.sampled_from([0.0, 0.1, 0.5]))
def test_the_whole_loss_and_its_gradient_are_the_published_ones(section: LossSection, seed: int, spread: float) -> None:
    batch = random_padded(seed, spread)
    loss, gradient_BT = ours(section, batch, batch.new_BT)
    assert loss == pytest.approx(published(section, batch, batch.new_BT), rel=1e-5, abs=1e-6)  # normalisers are float32
    nudge = 1e-5
    for row, column in np.argwhere(batch.mask_BT)[:6]:
        moved = [batch.new_BT.copy(), batch.new_BT.copy()]
        moved[0][row, column] += nudge
        moved[1][row, column] -= nudge
        slope = (published(section, batch, moved[0]) - published(section, batch, moved[1])) / (2 * nudge)
        ratio = math.exp(batch.new_BT[row, column] - batch.old_BT[row, column])
        if min(abs(ratio - 1 + section.clip_low), abs(ratio - 1 - section.clip_high)) > 1e-4:  # a kink has no slope
            assert gradient_BT[row, column] == pytest.approx(slope, rel=1e-4, abs=1e-6)
    assert not gradient_BT[~batch.mask_BT].any()
