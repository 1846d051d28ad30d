"""The learner as a whole: updates raise what was rewarded, resumed runs repeat the uninterrupted one, models load again."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from configs.errors import UserError
from configs.system_sections import LearnerSection
from learner.learner import Learner
from learner.weights import unpack, verify
from tasks.records import Role, Trajectory

MakeBatch = Callable[..., list[Trajectory]]
LR = 1e-3
MISMATCH = {f"mismatch/{name}" for name in ("max", "mean", "kl", "ess", "ratio_p01", "ratio_p99", "masked")}
STATED = (
    MISMATCH | {f"loss/{name}" for name in ("total", "policy", "kl", "entropy")} | {"clip_frac", "entropy", "grad_norm", "lr"}
)


def make_learner(model_path: str, *, dtype: str = "float32", **section: Any) -> Learner:
    config = LearnerSection.model_validate({"threads": 1, "lr": 1e-3} | section)
    return Learner(model_path, config, dtype=dtype, seed=0)


def weights(learner: Learner) -> dict[str, torch.Tensor]:
    publication = learner.publish(0)
    return dict(unpack(publication.manifest, publication.buckets))


def logprobs(path: Path | str, tensors: dict[str, torch.Tensor], batch: list[Trajectory]) -> list[torch.Tensor]:
    """Of each completion token, by transformers itself."""
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    model.load_state_dict(tensors, strict=False)
    found = []
    with torch.no_grad():
        for item in batch:
            rollout = item.rollout
            ids = torch.tensor([rollout.prompt_ids + rollout.completion_ids])
            logits = model(ids).logits[0, len(rollout.prompt_ids) - 1 : -1] / rollout.temperature
            found.append(logits.log_softmax(-1).gather(-1, torch.tensor(rollout.completion_ids)[:, None])[:, 0])
    return found


def test_an_update_raises_the_expected_reward_of_a_frozen_batch(model_path: str, make_batch: MakeBatch) -> None:
    batch = make_batch(0, num_prompts=8, group=6, longest=3)
    learner = make_learner(model_path)
    before = logprobs(model_path, weights(learner), batch)
    scalars = [learner.update(batch, LR) for _ in range(4)]
    after = logprobs(model_path, weights(learner), batch)
    gain = sum(item.advantage * float((new - old).sum()) for item, new, old in zip(batch, after, before, strict=True))
    assert gain > 0
    assert scalars[-1]["loss/policy"] < scalars[0]["loss/policy"]
    liked = [float((new - old).mean()) for item, new, old in zip(batch, after, before, strict=True) if item.advantage > 1]
    disliked = [float((new - old).mean()) for item, new, old in zip(batch, after, before, strict=True) if item.advantage < -1]
    assert sum(liked) / len(liked) > sum(disliked) / len(disliked)


def test_an_update_states_every_scalar_and_measures_the_mismatch(model_path: str, make_batch: MakeBatch) -> None:
    batch = make_batch(0)
    learner = make_learner(model_path, loss={"kl_beta": 0.1})
    scalars = learner.update(batch, LR)
    assert set(scalars) >= STATED
    theirs = torch.cat(logprobs(model_path, {}, batch))
    assert scalars["mismatch/max"] == pytest.approx(float((theirs + 1).abs().max()), abs=1e-4)  # behaviour is -1 everywhere
    assert scalars["mismatch/mean"] == pytest.approx(float((theirs + 1).abs().mean()), abs=1e-4)
    assert scalars["loss/kl"] == 0
    assert learner.update(batch, LR)["loss/kl"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("section", [{"zero_stage": 0}, {"zero_stage": 3}, {"minibatches": 3}])
def test_rows_without_an_advantage_are_measured_and_change_nothing_by_having_no_backward_pass(
    model_path: str, make_batch: MakeBatch, monkeypatch: pytest.MonkeyPatch, section: dict[str, int]
) -> None:
    batch = make_batch(0, num_prompts=6)
    flat = set(sorted({item.rollout.prompt_ids for item in batch})[::2])
    batch = [replace(item, advantage=0.0) if item.rollout.prompt_ids in flat else item for item in batch]
    assert any(item.advantage for item in batch)
    learner = make_learner(model_path, micro_batch_tokens=40, **section)
    passes: list[int] = []
    backward = learner._engine.backward
    monkeypatch.setattr(learner._engine, "backward", lambda *given, **named: (passes.append(1), backward(*given, **named)))
    sparing = learner.update(batch, LR)
    assert passes
    spared = len(passes)
    whole = make_learner(model_path, micro_batch_tokens=40, **section)
    monkeypatch.setattr(whole, "_teaches", lambda rows, part, table: np.ones(len(part), bool))
    backward = whole._engine.backward
    monkeypatch.setattr(whole._engine, "backward", lambda *given, **named: (passes.append(1), backward(*given, **named)))
    assert sparing == pytest.approx(whole.update(batch, LR), rel=1e-4, abs=1e-6)
    assert spared < len(passes) - spared
    theirs = weights(whole)
    assert all(torch.allclose(tensor, theirs[name], atol=1e-5) for name, tensor in weights(learner).items())


@pytest.mark.slow
def test_a_term_that_needs_no_advantage_keeps_every_row(model_path: str, make_batch: MakeBatch) -> None:
    batch = [replace(item, advantage=0.0 if index < 6 else 1.0) for index, item in enumerate(make_batch(0))]
    learner = make_learner(model_path, loss={"entropy_coef": 0.1})
    few = make_learner(model_path, loss={"entropy_coef": 0.1})
    learner.update(batch, LR)
    few.update(batch[6:], LR)
    theirs = weights(few)
    assert any(not torch.allclose(tensor, theirs[name], atol=1e-5) for name, tensor in weights(learner).items())


@pytest.mark.slow
@pytest.mark.parametrize(("role", "equal"), [(Role.PROPOSE, False), (Role.SOLVE, True)])
def test_the_entropy_of_proposals_is_raised_also_where_they_have_no_advantage_and_that_of_attempts_is_not(
    model_path: str, make_batch: MakeBatch, role: Role, equal: bool
) -> None:
    batch = make_batch(0)
    first = {item.rollout.prompt_ids for item in batch[:4]}
    still = [
        replace(item, advantage=0.0, rollout=replace(item.rollout, role=role)) if item.rollout.prompt_ids in first else item
        for item in batch
    ]
    learner, without = make_learner(model_path, loss={"proposer_entropy_coef": 0.3}), make_learner(model_path)
    scalars = learner.update(still, LR)
    without.update(still, LR)
    theirs = weights(without)
    assert (scalars["loss/entropy"] == 0) is equal
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in weights(learner).items()) is equal


def test_a_batch_without_trainable_rows_makes_no_step(model_path: str, make_trajectory: Callable[..., Trajectory]) -> None:
    learner = make_learner(model_path)
    before = learner.publish(0).manifest.fingerprint
    scalars = learner.update([make_trajectory([1, 2], [3], trainable=False)], LR)
    assert scalars["learner/optimizer_steps"] == 0
    assert learner.update([], LR)["learner/tokens"] == 0
    assert learner.publish(0).manifest.fingerprint == before


def test_rows_that_are_not_trainable_change_nothing(
    model_path: str, make_batch: MakeBatch, make_trajectory: Callable[..., Trajectory]
) -> None:
    batch = make_batch(0)
    idle = make_trajectory(batch[0].rollout.prompt_ids, [7, 7, 7], trainable=False)
    with_idle, without = make_learner(model_path), make_learner(model_path)
    assert with_idle.update([idle, *batch], LR) == without.update(batch, LR)
    assert with_idle.publish(0).manifest.fingerprint == without.publish(0).manifest.fingerprint


def test_several_minibatches_take_several_steps_against_fixed_old_logprobs(model_path: str, make_batch: MakeBatch) -> None:
    batch = make_batch(0)
    learner = make_learner(model_path, minibatches=3, lr=5e-2)
    scalars = learner.update(batch, LR)
    assert scalars["learner/optimizer_steps"] == 3
    assert scalars["clip_frac"] > 0  # the later steps see a policy that has moved away from old
    theirs = torch.cat(logprobs(model_path, {}, batch))
    assert scalars["mismatch/max"] == pytest.approx(float((theirs + 1).abs().max()), abs=1e-4)


def test_micro_batches_are_a_matter_of_memory_only(model_path: str, make_batch: MakeBatch) -> None:
    batch = make_batch(0)
    whole = make_learner(model_path)
    cut = make_learner(model_path, micro_batch_tokens=30, max_row_tokens=16, activation_checkpointing=True)
    first, second = whole.update(batch, LR), cut.update(batch, LR)
    sizes = {"learner/computed_tokens"}
    assert {k: v for k, v in first.items() if k not in sizes} == pytest.approx(
        {k: v for k, v in second.items() if k not in sizes}, rel=1e-4, abs=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize("stage", [0, 2])
def test_a_resumed_run_repeats_the_uninterrupted_one_bit_for_bit(
    model_path: str, make_batch: MakeBatch, tmp_path: Path, stage: int
) -> None:
    section: dict[str, Any] = {"zero_stage": stage, "minibatches": 2, "micro_batch_tokens": 40, "loss": {"kl_beta": 0.1}}
    straight = make_learner(model_path, **section)
    for seed in (1, 2):
        straight.update(make_batch(seed), LR)
    straight.save(tmp_path)
    expected = [straight.update(make_batch(seed), LR) for seed in (3, 4)]
    resumed = make_learner(model_path, **section)
    resumed.load(tmp_path)
    assert [resumed.update(make_batch(seed), LR) for seed in (3, 4)] == expected
    assert resumed.publish(4).manifest.fingerprint == straight.publish(4).manifest.fingerprint


@pytest.mark.parametrize("stage", [0, 3])
def test_a_saved_model_loads_in_transformers_with_the_published_weights(
    model_path: str, make_batch: MakeBatch, tmp_path: Path, stage: int
) -> None:
    learner = make_learner(model_path, zero_stage=stage)
    learner.update(make_batch(0), LR)
    learner.save(tmp_path)
    publication = learner.publish(1)
    verify(publication.manifest, publication.buckets, "test")
    published = dict(unpack(publication.manifest, publication.buckets))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    assert dict(model.named_parameters()).keys() == published.keys()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, published[name]), name
    assert (tmp_path / "model" / "tokenizer_config.json").read_text() == "{}"


@pytest.mark.slow
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_bfloat16_learns_with_weights_served_in_bfloat16(model_path: str, make_batch: MakeBatch, stage: int) -> None:
    learner = make_learner(model_path, dtype="bfloat16", zero_stage=stage, micro_batch_tokens=40)
    batch = make_batch(0)
    losses = [learner.update(batch, LR) for _ in range(4)]
    assert losses[-1]["loss/policy"] < losses[0]["loss/policy"]
    assert losses[0]["grad_norm"] > 0
    assert {spec.dtype for spec in learner.publish(4).manifest.tensors} == {"bfloat16"}


def test_a_checkpoint_that_cannot_be_resumed_is_named_with_the_remedy(model_path: str, tmp_path: Path) -> None:
    learner = make_learner(model_path)
    with pytest.raises(UserError, match="holds no whole trainer checkpoint"):
        learner.load(tmp_path)
    learner.save(tmp_path)
    with pytest.raises(UserError, match="resume with the same learner layout"):
        make_learner(model_path, zero_stage=1).load(tmp_path)
    (tmp_path / "trainer" / "rng-0.pt").write_bytes(b"torn")
    with pytest.raises(UserError, match=r"rng-0\.pt cannot be read"):
        learner.load(tmp_path)
    for file in (tmp_path / "trainer" / "engine").iterdir():
        file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(UserError, match="is corrupt"):
        learner.load(tmp_path)
    (tmp_path / "trainer" / "layout.json").write_text("{")
    with pytest.raises(UserError, match=r"layout\.json is corrupt"):
        learner.load(tmp_path)


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be loaded"):
        make_learner(str(tmp_path / "nothing"))


def test_a_rank_of_the_wrong_world_is_refused(model_path: str) -> None:
    with pytest.raises(ValueError, match="world_size must be"):
        Learner(model_path, LearnerSection(world_size=2), dtype="float32", seed=0)
