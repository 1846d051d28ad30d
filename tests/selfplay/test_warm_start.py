"""Where a run's model lies, and what its warm start is made of."""

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers, text

from configs.errors import ConfigError
from configs.play_sections import FamilySection, ModelSection, ProposerSection, StandInSection
from configs.schema import RunConfig
from selfplay.warm_start import BLOCK_SIZE, MIX, ExampleSource, in_share, misprinted, model_path
from tasks.arithmetic.family import ArithmeticFamily
from tasks.records import Admission, AdmissionStatus, Draft, Kind, Origin, Role
from verifier.verifier import FamilyVerifier

RECIPE_HASH = "7a2860df44ea5aa5"


@dataclass
class CountingVerifier:
    """The real one; counts its calls, refuses the first `deaf_calls` of them, and of the others every nth draft (0: none)."""

    inner: FamilyVerifier
    refuse_every: int = 0
    deaf_calls: int = 0
    sizes: list[int] = field(default_factory=list)

    def build(self, drafts: Sequence[Draft], origin: Origin, step: int, prefix: str) -> list[Admission]:
        self.sizes.append(len(drafts))
        admissions = self.inner.build(drafts, origin, step, prefix)
        return [
            Admission(proposal_id="w", status=AdmissionStatus.REFUSED, reason="timeout")
            if len(self.sizes) <= self.deaf_calls or (self.refuse_every and number % self.refuse_every == 0)
            else admission
            for number, admission in enumerate(admissions)
        ]

    def admit(self, *arguments: object) -> list[Admission]:
        raise NotImplementedError

    grade = admit


def source(family: ArithmeticFamily, verifier: CountingVerifier, config: RunConfig | None = None) -> ExampleSource:
    return ExampleSource(config or RunConfig(), family, verifier)


def test_folders_are_absolute_and_hub_names_stay(
    family: ArithmeticFamily, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine").mkdir()
    for folder in ("mine", "~/mine"):
        assert model_path(RunConfig(model=ModelSection(name_or_path=folder)), family) == str(tmp_path / "mine")
    assert model_path(RunConfig(model=ModelSection(name_or_path="Qwen/Qwen2-0.5B")), family) == "Qwen/Qwen2-0.5B"
    stand_in = RunConfig(model=ModelSection(stand_in=StandInSection(cache="cache")))
    assert Path(model_path(stand_in, family)).parent == tmp_path / "cache"


def test_the_examples_of_the_arithmetic_stand_in_are_those_of_its_recorded_results(
    family: ArithmeticFamily, verifier: FamilyVerifier
) -> None:
    """A changed hash means another warm-started model under the same name: raise RECIPE_VERSION with it."""
    drawn = source(family, CountingVerifier(verifier))
    rng = random.Random(0)
    examples = [drawn.draw(rng) for _ in range(2000)]
    assert hashlib.sha256(json.dumps(examples).encode()).hexdigest()[:16] == RECIPE_HASH


def test_the_verifier_is_called_once_for_a_block_and_never_twice_for_a_draft(
    family: ArithmeticFamily, verifier: FamilyVerifier
) -> None:
    counting = CountingVerifier(verifier)
    drawn = source(family, counting)
    rng = random.Random(0)
    for _ in range(3 * BLOCK_SIZE):
        drawn.draw(rng)
    assert len(counting.sizes) == 3
    assert sum(counting.sizes) < 3 * BLOCK_SIZE * 2  # easy sums come again
    assert counting.sizes[0] > counting.sizes[2]


def test_an_example_with_a_refused_draft_is_left_out_and_the_next_one_taken(
    family: ArithmeticFamily, verifier: FamilyVerifier
) -> None:
    every = source(family, CountingVerifier(verifier))
    some = source(family, CountingVerifier(verifier, refuse_every=5))
    first, second = random.Random(0), random.Random(0)
    complete = {every.draw(first) for _ in range(BLOCK_SIZE)}
    drawn = {some.draw(second) for _ in range(BLOCK_SIZE // 3)}
    assert drawn < complete


def test_a_family_whose_drafts_are_all_refused_is_named(family: ArithmeticFamily, verifier: FamilyVerifier) -> None:
    counting = CountingVerifier(verifier, deaf_calls=4)
    with pytest.raises(ConfigError, match="must let the arithmetic family generate tasks"):
        source(family, counting).draw(random.Random(0))
    assert len(counting.sizes) == 4
    late = CountingVerifier(verifier, deaf_calls=3)
    assert source(family, late).draw(random.Random(0))


def test_only_the_kinds_that_are_played_are_shown_each_in_both_roles(
    family: ArithmeticFamily, verifier: FamilyVerifier
) -> None:
    config = RunConfig(family=FamilySection(kinds=("abduction",)), proposer=ProposerSection(references=0))
    drawn = source(family, CountingVerifier(verifier), config)
    rng = random.Random(0)
    prompts = [drawn.draw(rng)[0] for _ in range(400)]
    proposals = [prompt for prompt in prompts if prompt.startswith("Propose find: ")]
    share = MIX[Kind.ABDUCTION, Role.PROPOSE] / (MIX[Kind.ABDUCTION, Role.PROPOSE] + MIX[Kind.ABDUCTION, Role.SOLVE])
    assert len(proposals) == pytest.approx(400 * share, rel=0.3)
    assert all(prompt.startswith("Find: ") for prompt in prompts if prompt not in proposals)


def test_a_bounded_source_draws_its_examples_again_and_asks_the_verifier_no_more(
    family: ArithmeticFamily, verifier: FamilyVerifier
) -> None:
    counting = CountingVerifier(verifier)
    config = RunConfig(model=ModelSection(stand_in=StandInSection(examples=300)))
    bounded, rng = source(family, counting, config), random.Random(0)
    first = [bounded.draw(rng) for _ in range(300)]
    calls = len(counting.sizes)
    again = [bounded.draw(rng) for _ in range(1000)]
    assert len(counting.sizes) == calls
    assert set(again) <= set(first)
    assert len(set(again)) > len(set(first)) / 2


def test_answers_outside_the_known_share_are_never_shown_and_proposals_are_of_all_tasks(
    family: ArithmeticFamily, verifier: FamilyVerifier
) -> None:
    config = RunConfig(family=FamilySection(kinds=("deduction",)), model=ModelSection(stand_in=StandInSection(known_share=0.3)))
    drawn, rng = source(family, CountingVerifier(verifier), config), random.Random(0)
    examples = {drawn.draw(rng) for _ in range(1500)}
    solved = {prompt for prompt, _ in examples if prompt.startswith("Calculate: ")}
    known = {family.solve_prompt(task) for task in drawn.tasks if in_share(task.fingerprint, 0.3)}
    assert solved <= known
    assert len(known) < 0.75 * len(drawn.tasks)  # the others were proposed, or shown as references


@given(text(), floats(0, 1), floats(0, 1))
def test_a_smaller_share_lies_within_a_larger_one(fingerprint: str, one: float, other: float) -> None:
    small, large = sorted((one, other))
    assert in_share(fingerprint, large) or not in_share(fingerprint, small)
    assert in_share(fingerprint, 1)


def test_a_share_without_a_task_is_named(family: ArithmeticFamily, verifier: FamilyVerifier) -> None:
    config = RunConfig(model=ModelSection(stand_in=StandInSection(known_share=1e-12)))
    with pytest.raises(ConfigError, match=r"known_share must leave \w+ tasks of the arithmetic family"):
        source(family, CountingVerifier(verifier), config).draw(random.Random(0))


@given(text(alphabet="ab 0129+-*,"), integers(0, 2**32))
def test_a_misprint_changes_one_digit_or_operator_and_nothing_else(answer: str, seed: int) -> None:
    found = misprinted(answer, random.Random(seed))
    changed = [(old, new) for old, new in zip(answer, found, strict=True) if old != new]
    assert len(changed) == any(char in "0129+-*" for char in answer)
    assert all(old.isdigit() == new.isdigit() and new in "0123456789+-*" for old, new in changed)


def test_the_share_of_misprinted_answers_is_the_one_asked_for(family: ArithmeticFamily, verifier: FamilyVerifier) -> None:
    config = RunConfig(
        family=FamilySection(kinds=("deduction",)), model=ModelSection(stand_in=StandInSection(misprint_share=0.25))
    )
    drawn, rng = source(family, CountingVerifier(verifier), config), random.Random(0)
    examples = [drawn.draw(rng) for _ in range(1000)]
    right = {family.solve_prompt(task): family.reference_answer(task) for task in drawn.tasks}
    solved = [(prompt, answer) for prompt, answer in examples if prompt.startswith("Calculate: ")]
    wrong = sum(right[prompt] != answer for prompt, answer in solved)
    assert wrong / len(solved) == pytest.approx(0.25, abs=0.06)
    proposals = {prompt: text for prompt, text in examples if prompt.startswith("Propose")}
    assert set(proposals.values()) <= {family.reference_proposal(task) for task in drawn.tasks}


def test_a_kind_s_answers_are_shown_as_often_as_weighted(family: ArithmeticFamily, verifier: FamilyVerifier) -> None:
    weights = StandInSection(solve_weights={"induction": 0.25})
    drawn, rng = source(family, CountingVerifier(verifier), RunConfig(model=ModelSection(stand_in=weights))), random.Random(0)
    prompts = [drawn.draw(rng)[0] for _ in range(3000)]
    patterns, problems = (sum(prompt.startswith(word) for prompt in prompts) for word in ("Pattern", "Calculate"))
    shown = MIX[Kind.INDUCTION, Role.SOLVE] / MIX[Kind.DEDUCTION, Role.SOLVE]
    assert patterns / problems == pytest.approx(0.25 * shown, rel=0.25)


def test_a_kind_s_proposals_are_shown_as_often_as_weighted(family: ArithmeticFamily, verifier: FamilyVerifier) -> None:
    weights = StandInSection(propose_weights={"induction": 4})
    drawn, rng = source(family, CountingVerifier(verifier), RunConfig(model=ModelSection(stand_in=weights))), random.Random(0)
    prompts = [drawn.draw(rng)[0] for _ in range(3000)]
    words = {Kind.DEDUCTION: "calculate", Kind.ABDUCTION: "find", Kind.INDUCTION: "pattern"}
    shown = {kind: sum(prompt.startswith(f"Propose {word}") for prompt in prompts) for kind, word in words.items()}
    assert shown[Kind.INDUCTION] / shown[Kind.DEDUCTION] == pytest.approx(4, rel=0.25)
    assert shown[Kind.ABDUCTION] / shown[Kind.DEDUCTION] == pytest.approx(1, rel=0.25)
