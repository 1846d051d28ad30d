"""Parity: packed rows with shared prompts give the logprobs and gradients of the plain forward pass, one sequence at a time."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Qwen2Config

from learner import forward, model_files, packing
from learner.forward import Policy, to_device
from tasks.records import Trajectory

MakeBatch = Callable[..., list[Trajectory]]


@pytest.fixture(scope="module")
def policy(model_path: str) -> Policy:
    return Policy(model_files.read(model_path, torch.float32))


def packed(
    policy: Policy, batch: list[Trajectory], max_row_tokens: int, micro_batch_tokens: int
) -> tuple[torch.Tensor, torch.Tensor]:
    table = packing.flatten(batch)
    rows = packing.lay_out(packing.group(batch, max_row_tokens), table)
    order, logprobs, entropies = [], [], []
    for chosen, counts in packing.shares(rows, np.arange(len(rows.rows)), micro_batch_tokens, 1)[0]:
        item = packing.micro_batch(rows, chosen, table, counts)
        scored = policy(**to_device(item, torch.device("cpu")), entropy_grad=True)
        order.append(torch.from_numpy(item.tokens_N))
        logprobs.append(scored[0])
        entropies.append(scored[1])
    back = torch.cat(order).argsort()
    return torch.cat(logprobs)[back], torch.cat(entropies)[back]


def plain(policy: Policy, batch: list[Trajectory]) -> tuple[torch.Tensor, torch.Tensor]:
    logprobs, entropies = [], []
    for item in batch:
        rollout = item.rollout
        ids = torch.tensor([rollout.prompt_ids + rollout.completion_ids])
        logits = policy.model(ids).logits[0, len(rollout.prompt_ids) - 1 : -1] / rollout.temperature
        everything = logits.log_softmax(-1)
        logprobs.append(everything.gather(-1, torch.tensor(rollout.completion_ids)[:, None])[:, 0])
        entropies.append(-(everything.exp() * everything).sum(-1))
    return torch.cat(logprobs), torch.cat(entropies)


def gradient(policy: Policy, loss: torch.Tensor) -> torch.Tensor:
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(policy.parameters()))])


def assert_parity(policy: Policy, batch: list[Trajectory], max_row_tokens: int, micro_batch_tokens: int) -> None:
    ours, our_entropies = packed(policy, batch, max_row_tokens, micro_batch_tokens)
    theirs, their_entropies = plain(policy, batch)
    weights = torch.from_numpy(np.random.default_rng(0).normal(size=len(ours)).astype(np.float32))
    assert (ours - theirs).abs().max() <= 1e-5
    assert (our_entropies - their_entropies).abs().max() <= 1e-5
    our_gradient = gradient(policy, (ours * weights + 0.1 * our_entropies).sum())
    their_gradient = gradient(policy, (theirs * weights + 0.1 * their_entropies).sum())
    assert (our_gradient - their_gradient).norm() <= 1e-5 * their_gradient.norm()


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(1, 4),
    st.integers(1, 5),
    st.sampled_from([2, 100]),
    st.integers(1, 8),
    st.sampled_from([0.7, 1.0]),
    st.sampled_from([12, 1000]),
    st.sampled_from([24, 1000]),
)
def test_packed_rows_equal_the_plain_forward_pass(
    policy: Policy,
    make_batch: MakeBatch,
    seed: int,
    num_prompts: int,
    group: int,
    vocabulary: int,
    longest: int,
    temperature: float,
    max_row_tokens: int,
    micro_batch_tokens: int,
) -> None:
    batch = make_batch(
        seed, num_prompts=num_prompts, group=group, vocabulary=vocabulary, longest=longest, temperature=temperature
    )
    assert_parity(policy, batch, max_row_tokens, micro_batch_tokens)


def test_mixed_groups_and_temperatures_in_one_batch_keep_parity(policy: Policy, make_batch: MakeBatch) -> None:
    batch = (
        make_batch(1, num_prompts=5, group=1)
        + make_batch(2, num_prompts=2, group=8, temperature=0.5)
        + make_batch(3, num_prompts=1, group=16, vocabulary=2, temperature=1.3)
    )
    assert_parity(policy, batch, 1000, 1000)


def test_logits_in_pieces_keep_parity(policy: Policy, make_batch: MakeBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "LOGITS_ELEMENTS", 700)  # seven positions of a vocabulary of 100
    assert_parity(policy, make_batch(4, vocabulary=3), 1000, 1000)


def test_a_wrong_mask_would_be_seen(policy: Policy, make_batch: MakeBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "additive_mask", lambda ends_BT, dtype: None)  # plain causal: siblings see each other
    batch = make_batch(5, num_prompts=1, group=4)
    assert (packed(policy, batch, 1000, 1000)[0] - plain(policy, batch)[0]).abs().max() > 1e-2


def test_entropy_brings_no_gradient_unless_asked(policy: Policy, make_batch: MakeBatch) -> None:
    batch = make_batch(6)
    table = packing.flatten(batch)
    rows = packing.lay_out(packing.group(batch, 1000), table)
    item = packing.micro_batch(rows, np.arange(len(rows.rows)), table, True)
    logprobs_N, entropies_N = policy(**to_device(item, torch.device("cpu")))
    assert logprobs_N.requires_grad
    assert not entropies_N.requires_grad


def test_a_sliding_window_that_would_bite_is_refused(policy: Policy) -> None:
    config = Qwen2Config(use_sliding_window=True, sliding_window=32, max_window_layers=0, num_hidden_layers=2)
    assert forward.sliding_window(config) == 32
    assert forward.sliding_window(policy.model.config) is None
