"""The shipped runs of the Python family: the paper's are what the paper ran, and the embedded one fits its model."""

import random

import pytest

from configs.loader import load_config, shipped_configs
from configs.schema import RunConfig
from learner.stand_in import build_tokenizer
from tasks.family import Family, load_family
from tasks.records import Draft, Kind, Origin, Pair, Task


def family_of(config: RunConfig) -> Family:
    return load_family(config.family.name, config.family.options)


@pytest.mark.parametrize(
    ("name", "model", "gpus"), [("paper-7b", "Qwen/Qwen2.5-7B", 4), ("paper-3b", "Qwen/Qwen2.5-Coder-3B", 2)]
)
def test_the_papers_run_is_what_the_paper_ran(name: str, model: str, gpus: int) -> None:
    assert name in shipped_configs()
    config = load_config(name)
    assert (config.model.name_or_path, config.family.name, config.run.steps) == (model, "python", 500)
    assert config.rows_per_step == 384
    assert (config.proposer.references, config.solver.attempts, config.family.options["num_inputs"]) == (6, 8, 10)
    assert (config.proposer.temperature, config.solver.temperature, config.proposer.max_tokens) == (1.0, 1.0, 8096)
    assert (config.learner.lr, config.learner.lr_final, config.learner.lr_warmup_steps) == (1e-6, 1.0, 0)
    assert (config.learner.loss.kl_beta, config.learner.loss.clip_low, config.learner.loss.clip_high) == (0.0, 0.2, 0.2)
    assert (config.reward.preset, config.learner.advantage, config.solver.reuse_attempts) == ("paper", "trrpp", False)
    assert (config.buffers.seed_size, config.buffers.capacity, config.verifiers.timeout_s) == (256, 16384, 10)
    assert config.learner.world_size + config.generators.count == gpus


@pytest.mark.parametrize("name", ["paper-7b", "paper-3b", "tiny-cpu-python"])
def test_the_longest_task_that_may_be_admitted_fits_the_models_context(name: str) -> None:
    """A token is at least one byte, and values of printable ASCII take no more bytes than characters."""
    config = load_config(name)
    family, options = family_of(config), config.family.options
    program = "def f(a):\n    return a".ljust(int(str(options["max_program_chars"])), "#")
    pair = Pair(input="x" * int(str(options["max_input_chars"])), output="x" * (config.verifiers.max_output_kb << 10))
    longest = max(config.solver.max_tokens, config.proposer.max_tokens)
    for kind in Kind:
        pairs = (pair,) * (int(str(options["num_inputs"])) if kind is Kind.INDUCTION else 1)
        message = "x" * int(str(options["max_message_chars"]))
        draft = Draft(kind=kind, program=program, inputs=tuple(item.input for item in pairs), message=message)
        asked = task(draft, pairs, family.num_shown(draft))
        prompts = [family.solve_prompt(asked), family.propose_prompt(kind, [asked] * 6, program)]
        assert max(len(prompt.encode()) for prompt in prompts) + longest <= config.generators.max_model_len


def test_generated_tasks_of_the_embedded_run_are_short_in_the_stand_ins_tokens() -> None:
    config = load_config("tiny-cpu-python")
    family = family_of(config)
    tokenizer = build_tokenizer(family.alphabet, family.words)
    rng = random.Random(0)
    for kind in Kind:
        drafts = [family.generate(kind, rng) for _ in range(200)]
        tasks = [task(draft, tuple(Pair(input=text, output="[1, 2, 3]") for text in draft.inputs), 1) for draft in drafts]
        references = tasks[: config.proposer.references]
        prompts = [family.solve_prompt(item) for item in tasks]
        prompts += [family.propose_prompt(kind, references, item.program) for item in tasks]
        assert max(map(len, tokenizer(prompts)["input_ids"])) < 160
        answers = tokenizer([family.reference_answer(item) for item in tasks])["input_ids"]
        assert max(map(len, answers)) < config.solver.max_tokens
        proposals = tokenizer([family.reference_proposal(item) for item in tasks])["input_ids"]
        assert max(map(len, proposals)) < config.proposer.max_tokens


def task(draft: Draft, pairs: tuple[Pair, ...], num_shown: int) -> Task:
    return Task(
        task_id="t",
        kind=draft.kind,
        program=draft.program,
        pairs=pairs,
        num_shown=num_shown,
        fingerprint="f",
        origin=Origin.GENERATED,
        step=0,
        message=draft.message,
    )
