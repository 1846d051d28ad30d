"""The loss terms against hand-worked numbers."""

import math

import numpy as np
import pytest
import torch

from configs.schema import LossSection
from learner.losses import Tokens, clipped_surrogate, entropy_bonus, importance, kl_to_reference, mismatch, normaliser, terms


def tokens(ratios: list[float], advantages: list[float], mismatches: list[float] | None = None) -> Tokens:
    old_N = torch.full((len(ratios),), -1.0)
    return Tokens(
        new_N=(old_N + torch.tensor(ratios).log()).requires_grad_(),
        old_N=old_N,
        behaviour_N=old_N - torch.tensor(mismatches or [1.0] * len(ratios)).log(),
        advantages_N=torch.tensor(advantages),
        weights_N=torch.ones(len(ratios)),
        entropies_N=torch.full((len(ratios),), 2.0),
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


def test_terms_hold_the_reference_only_when_there_is_one() -> None:
    assert set(terms(LossSection(), tokens([1.0], [1.0]))) == {"policy", "entropy"}


@pytest.mark.parametrize(
    ("name", "expected"), [("token", [1 / 8, 1 / 8]), ("sequence", [1 / 4, 1 / 12]), ("constant", [1 / 20, 1 / 20])]
)
def test_normaliser_weighs_tokens_as_it_says(name: str, expected: list[float]) -> None:
    section = LossSection.model_validate({"normaliser": name, "constant_length": 10})
    assert normaliser(section, np.array([2, 6])).tolist() == pytest.approx(expected)


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
