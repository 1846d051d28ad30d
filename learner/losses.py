"""The loss of one update, term by term; each term is a pure function of tensors that returns its sum and its metrics.

The whole, over the N completion tokens of a minibatch (all ranks, all micro-batches):

    L = Σ_n w_n · [ c_n · policy_n + β · kl_n − η_n · H_n ]

w_n is the explicit normaliser, c_n the truncated importance weight, zero where the train/sample ratio is extreme, η_n the
entropy coefficient of the token's role.
Because w is fixed before the batch is cut up, the sum over micro-batches and ranks is the loss of the whole batch.
Does not: run a model, reduce over ranks.

Shape letters: N tokens, S samples (float32 throughout). new: the policy being trained (has gradient); old: the same
policy before this update (detached); behaviour: the sampler's word; reference: the frozen model.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from configs.system_sections import LossSection
from learner.packing import FloatArray, IntArray

QUANTILES = (0.01, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What the loss sees of one micro-batch, all float32 [N] (`reference_N` only when β > 0).

    proposals_N: 1 where the token is of the proposer's role, else 0.
    """

    new_N: torch.Tensor
    old_N: torch.Tensor
    behaviour_N: torch.Tensor
    advantages_N: torch.Tensor
    weights_N: torch.Tensor
    entropies_N: torch.Tensor
    proposals_N: torch.Tensor
    reference_N: torch.Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One term of the loss: its weighted sum, and the detached per-token values [N] that telemetry averages, by name."""

    loss: torch.Tensor
    metrics: dict[str, torch.Tensor]


def terms(section: LossSection, tokens: Tokens) -> dict[str, Term]:
    """The terms that are switched on, by name; the loss is the sum of theirs."""
    found = {"policy": clipped_surrogate(section, tokens), "entropy": entropy_bonus(section, tokens)}
    if tokens.reference_N is not None:
        found["kl"] = kl_to_reference(section, tokens, tokens.reference_N)
    return found


def role_weights(section: LossSection, proposals_S: npt.NDArray[np.bool_]) -> FloatArray:
    """What a sample counts by its role, with mean 1: `proposer_weight` of an attempt, where it is a proposal."""
    shares_S = np.where(proposals_S, section.proposer_weight, 1.0)
    weights_S: FloatArray = (shares_S / shares_S.mean()).astype(np.float32)
    return weights_S


def normaliser(section: LossSection, lengths_S: IntArray) -> FloatArray:
    """w_S: what one token of each sample counts; lengths_S: completion tokens of the samples of one minibatch (S, N = Σ len).

    token: 1/N, every token alike (DAPO, arXiv 2503.14476). sequence: 1/(S·len), every sample alike (GRPO, arXiv
    2402.03300). constant: 1/(S·constant_length), without length bias (Dr. GRPO, arXiv 2503.20783).
    """
    if section.normaliser == "token":
        return np.full(len(lengths_S), 1 / lengths_S.sum(), np.float32)
    if section.normaliser == "sequence":
        return (1 / (len(lengths_S) * lengths_S)).astype(np.float32)
    return np.full(len(lengths_S), 1 / (len(lengths_S) * section.constant_length), np.float32)


def importance(section: LossSection, old_N: torch.Tensor, behaviour_N: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights against the mismatch of sampler and learner, and which tokens keep them (arXiv 2505.24034; TIS).

        ρ = π_old / π_behaviour,   c = min(ρ, cap) · 1[1/x ≤ ρ ≤ x]

    Both are constants of the update: no gradient flows through them.
    """
    log_ratio_N = old_N - behaviour_N
    kept_N = log_ratio_N.abs() <= float(np.log(section.importance_mask))
    weights_N = log_ratio_N.clamp(max=float(np.log(section.importance_cap))).exp() * kept_N
    return weights_N.detach(), kept_N


def clipped_surrogate(section: LossSection, tokens: Tokens) -> Term:
    """PPO's surrogate per token with separate clips (arXiv 1707.06347 eq. 7; the higher upper clip: arXiv 2503.14476).

        r = π_new / π_old,   policy = −c · min(r·A, clip(r, 1 − clip_low, 1 + clip_high)·A)

    Metrics: clip_frac, tokens whose gradient the clip removed; masked, tokens that `importance` removed.
    """
    ratio_N = (tokens.new_N - tokens.old_N).exp()
    free_N = ratio_N * tokens.advantages_N
    clipped_N = ratio_N.clamp(1 - section.clip_low, 1 + section.clip_high) * tokens.advantages_N
    correction_N, kept_N = importance(section, tokens.old_N, tokens.behaviour_N)
    loss = -(tokens.weights_N * correction_N * torch.minimum(free_N, clipped_N)).sum()
    return Term(loss=loss, metrics={"clip_frac": (clipped_N < free_N).float(), "masked": (~kept_N).float()})


def kl_to_reference(section: LossSection, tokens: Tokens, reference_N: torch.Tensor) -> Term:
    """k3, unbiased and never negative (http://joschu.net/blog/kl-approx.html; GRPO, arXiv 2402.03300 eq. 4).

    kl = π_ref/π_new − log(π_ref/π_new) − 1
    """
    log_ratio_N = reference_N - tokens.new_N
    kl_N = log_ratio_N.exp() - log_ratio_N - 1
    return Term(loss=section.kl_beta * (tokens.weights_N * kl_N).sum(), metrics={"kl": kl_N.detach()})


def entropy_bonus(section: LossSection, tokens: Tokens) -> Term:
    """−η · H(π_new): rewards a policy that keeps its options (exact over the vocabulary, at the sampling temperature).

    η is `entropy_coef`, and for proposals `proposer_entropy_coef` more: a proposer may end with the one sort of task that pays
    best (docs/history.md). The entropy is a metric also when η is 0; then it brings no gradient.
    """
    coefs_N = section.entropy_coef + section.proposer_entropy_coef * tokens.proposals_N
    loss = -(tokens.weights_N * coefs_N * tokens.entropies_N).sum()
    return Term(loss=loss, metrics={"entropy": tokens.entropies_N.detach()})


def mismatch(old_N: npt.NDArray[np.float32], behaviour_N: npt.NDArray[np.float32]) -> dict[str, float]:
    """How far the sampler's logprobs are from the learner's on the same tokens; with ρ = π_old / π_behaviour:

    max, mean: of |log ρ|; kl: k3 estimate of KL(behaviour ‖ old) = E[ρ − 1 − log ρ]; ess: (Σρ)² / (N·Σρ²), 1 is perfect;
    ratio_p01, ratio_p99: quantiles of ρ. Under staleness they contain the policy's own change.
    """
    log_ratio_N = (old_N - behaviour_N).astype(np.float64)
    ratio_N = np.exp(np.clip(log_ratio_N, -60, 60))
    low, high = np.quantile(ratio_N, QUANTILES)
    return {
        "mismatch/max": float(np.abs(log_ratio_N).max()),
        "mismatch/mean": float(np.abs(log_ratio_N).mean()),
        "mismatch/kl": float((ratio_N - 1 - log_ratio_N).mean()),
        "mismatch/ess": float(ratio_N.sum() ** 2 / (len(ratio_N) * (ratio_N**2).sum())),
        "mismatch/ratio_p01": float(low),
        "mismatch/ratio_p99": float(high),
    }
