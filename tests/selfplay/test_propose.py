"""Admission as the loop sees it: what a refusal costs the proposer, and what validity is a share of."""

from configs.schema import RunConfig
from selfplay.judge import Judged
from selfplay.loop import Parts
from selfplay.metrics import step_scalars
from selfplay.propose import ProposalRequest, Proposed, admit
from tasks.arithmetic.expression import fill
from tasks.arithmetic.family import ArithmeticFamily
from tasks.records import HELDOUT, Kind, Request, Role, Rollout


def proposals(config: RunConfig, parts: Parts, texts: list[str]) -> list[Proposed]:
    wanted = [ProposalRequest(request=request(number), program="") for number in range(len(texts))]
    return admit(config, parts.verifier, parts.buffers, wanted, [rollout(number, text) for number, text in enumerate(texts)])


def request(number: int) -> Request:
    return Request(
        task_id=f"step1-deduction-{number}", attempt=0, step=1, kind=Kind.DEDUCTION, role=Role.PROPOSE, prompt="p", seed=0,
        temperature=1.0, max_tokens=32,
    )  # fmt: skip


def rollout(number: int, text: str) -> Rollout:
    return Rollout(
        task_id=f"step1-deduction-{number}", attempt=0, step=1, kind=Kind.DEDUCTION, role=Role.PROPOSE, prompt_ids=(1, 2),
        completion_ids=(3,), logprobs=(-0.1,), temperature=1.0, text=text, finish_reason="stop", policy_version=0,
        weight_fingerprint="f", sampler_id="s", seed=0,
    )  # fmt: skip


def test_a_held_out_proposal_teaches_nothing_and_does_not_count_against_validity(
    small_config: RunConfig, family: ArithmeticFamily, parts: Parts
) -> None:
    draft = family.heldout()["deduction"][0]
    held_out = fill(draft.program, draft.inputs[0].split(", "))
    items = proposals(small_config, parts, [held_out, "91 + 92", "no expression", "93 + 94"])
    assert [item.admission.reason for item in items] == [HELDOUT, "ok", "syntax", "ok"]
    assert [item.trainable for item in items] == [False, True, True, True]
    judged = Judged(proposals=(), attempts=(), zero_std={}, fates=(), extras={})
    scalars = step_scalars([Kind.DEDUCTION], items, [], judged, {Kind.DEDUCTION: 0})
    assert scalars["valid/deduction"] == 2 / 3
    assert scalars["refusal/deduction/heldout"] == 1


def test_validity_is_silent_where_nothing_but_held_out_tasks_was_proposed(
    small_config: RunConfig, family: ArithmeticFamily, parts: Parts
) -> None:
    texts = [fill(draft.program, draft.inputs[0].split(", ")) for draft in family.heldout()["deduction"][:3]]
    judged = Judged(proposals=(), attempts=(), zero_std={}, fates=(), extras={})
    scalars = step_scalars([Kind.DEDUCTION], proposals(small_config, parts, texts), [], judged, {Kind.DEDUCTION: 0})
    assert "valid/deduction" not in scalars
