"""The shipped run of the mixed family fits the stand-in's tokens and context."""

import random

import pytest

from configs.loader import load_config
from learner.stand_in import build_tokenizer
from tasks.records import Kind, Origin, Task
from verifier.verifier import FamilyVerifier

CONFIG = load_config("tiny-cpu-mixed")
VERIFIER = FamilyVerifier(CONFIG.family.name, CONFIG.family.options, CONFIG.verifiers)


def generated(kind: Kind, count: int) -> list[Task]:
    rng = random.Random(0)
    drafts = [VERIFIER.family.generate(kind, rng) for _ in range(count)]
    return [admission.task for admission in VERIFIER.build(drafts, Origin.GENERATED, 0, "x") if admission.task]


@pytest.mark.parametrize("kind", list(Kind))
def test_generated_tasks_fit_the_limits_with_room_for_the_end_token(kind: Kind) -> None:
    family = VERIFIER.family
    tokenizer = build_tokenizer(family.alphabet, family.words)
    tasks = generated(kind, 400)
    references = sorted(tasks, key=lambda task: -len(family.reference_proposal(task)))[: CONFIG.proposer.references]
    asked = [family.solve_prompt(task) for task in tasks]
    asked += [family.propose_prompt(kind, references, task.program) for task in tasks]
    longest = max(CONFIG.proposer.max_tokens, CONFIG.solver.max_tokens)
    assert max(map(len, tokenizer(asked)["input_ids"])) + longest <= CONFIG.generators.max_model_len
    answers = tokenizer([family.reference_answer(task) for task in tasks])["input_ids"]
    assert max(map(len, answers)) < min(CONFIG.solver.max_tokens, CONFIG.evaluation.max_tokens)
    proposals = tokenizer([family.reference_proposal(task) for task in tasks])["input_ids"]
    assert max(map(len, proposals)) < CONFIG.proposer.max_tokens
