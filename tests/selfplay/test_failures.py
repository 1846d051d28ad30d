"""The four failures that lost days before anybody saw them, each played on purpose, each caught by an alarm.

The loop, the verifier, the buffers, the judge and the telemetry are real; the player is a FakeGenerator with a script, and
knows the right answers from a crib. A script that plays well is silent: what fires does so because of the failure.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from buffers.buffers import TaskBuffers
from buffers.census import family_traits
from configs.play_sections import FamilySection
from configs.schema import RunConfig
from configs.section import KindName
from configs.system_sections import VerifiersSection
from selfplay.loop import Parts, SelfPlay
from tasks.family import Family, load_family
from tasks.records import Kind, Request, Role, Task
from telemetry.alarm_log import ALARMS
from telemetry.hub import TelemetryHub
from telemetry.jsonl import read_lines
from verifier.verifier import FamilyVerifier

pytestmark = pytest.mark.slow

STEPS = 24
OPTIONS = {"max_operators": 1}  # every program takes two operands
Script = Callable[[Request, random.Random], str]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A family whose right answers are noted by prompt, and what plays it."""

    name: str
    family: Family
    verifier: FamilyVerifier
    crib: dict[str, str]


@pytest.fixture
def stage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    name = getattr(request, "param", "arithmetic")
    family, crib = load_family(name, OPTIONS), {}
    render = family.solve_prompt

    def noted(task: Task) -> str:
        prompt = render(task)
        crib[prompt] = family.reference_answer(task)
        return prompt

    monkeypatch.setattr(family, "solve_prompt", noted)
    with closing(FamilyVerifier(name, OPTIONS, VerifiersSection())) as verifier:
        yield Stage(name=name, family=family, verifier=verifier, crib=crib)


def proposal(kind: Kind, rng: random.Random) -> str:
    if kind is Kind.INDUCTION:
        return " ".join(f"({rng.randint(2, 99)},{rng.randint(2, 99)})" for _ in range(6))
    return f"{rng.randint(2, 99)} {rng.choice('+-*')} {rng.randint(2, 99)}"


def alarms(stage: Stage, parts: Parts, run_dir: Path, script: Script, kinds: Sequence[KindName] = ("deduction",)) -> set[str]:
    """Plays a short run by the script; the alarms that its file has."""
    config = RunConfig.model_validate(
        {
            "tasks_per_kind": 8,
            "run": {"steps": STEPS, "checkpoint_every": STEPS},
            "family": FamilySection(name=stage.name, kinds=tuple(kinds)),
            "proposer": {"max_tokens": 64},
            "buffers": {"seed_size": 24, "seed_rounds": 1},
            "evaluation": {"every": 4},
            "telemetry": {
                "wandb": "disabled",
                "alarms": {"window": 6, "throughput_fall": 0.0},
            },  # the clock is this machine's business
        }
    )
    hub = TelemetryHub(run_dir, config, resume_global_step=None, wandb_run_id="x", console=False)
    buffers = TaskBuffers([Kind(kind) for kind in kinds], 1000, family_traits(stage.family))
    parts.generator._text = script  # type: ignore[attr-defined]
    played = replace(parts, verifier=stage.verifier, buffers=buffers, telemetry=hub)
    SelfPlay(config, stage.family, played, run_dir).run()
    hub.close("finished", {})
    return {line["name"] for line in read_lines(run_dir / ALARMS)}


def test_a_run_that_plays_well_is_silent(stage: Stage, parts: Parts, tmp_path: Path) -> None:
    def plays_well(request: Request, rng: random.Random) -> str:
        if request.role is Role.PROPOSE:
            return proposal(request.kind, rng)
        return stage.crib[request.prompt] if rng.random() < 0.6 else "1"

    assert alarms(stage, parts, tmp_path, plays_well, ("deduction", "abduction", "induction")) == set()


def test_proposer_rewards_that_are_all_zero_are_caught(stage: Stage, parts: Parts, tmp_path: Path) -> None:
    def solves_everything(request: Request, rng: random.Random) -> str:
        return proposal(request.kind, rng) if request.role is Role.PROPOSE else stage.crib[request.prompt]

    found = alarms(stage, parts, tmp_path, solves_everything)
    assert found == {"proposer_reward/deduction", "always_solved/deduction", "zero_variance", "zero_variance_collapse"}


@pytest.mark.parametrize("stage", ["mixed"], indirect=True)
def test_a_collapse_to_one_easy_kind_of_word_problem_is_caught(stage: Stage, parts: Parts, tmp_path: Path) -> None:
    def soon_only_asks_for_the_larger_of_two(request: Request, rng: random.Random) -> str:
        numbers = " ".join(str(rng.randint(2, 99)) for _ in range(2))
        if request.role is Role.PROPOSE:
            forms = ("Largest of", "Smallest of", "Count 3 in 3 3", "Count 7 in")
            word = forms[0] if request.step > 4 else rng.choice(forms)
            return proposal(request.kind, rng) if request.step <= 4 and rng.random() < 0.5 else f"{word} {numbers}"
        if request.kind is Kind.ABDUCTION:
            return "no"
        return stage.crib[request.prompt] if rng.random() < 0.6 else "1"

    found = alarms(stage, parts, tmp_path, soon_only_asks_for_the_larger_of_two, ("deduction", "abduction"))
    assert {"one_kind_pays/deduction", "low_diversity/deduction"} <= found
    assert not any(name.startswith(("accuracy_falls", "stagnant_buffer")) for name in found)


def test_a_declining_accuracy_is_caught(stage: Stage, parts: Parts, tmp_path: Path) -> None:
    def forgets(request: Request, rng: random.Random) -> str:
        if request.role is Role.PROPOSE:
            return proposal(request.kind, rng)
        if request.temperature:
            return stage.crib[request.prompt] if rng.random() < 0.6 else "1"
        kept = 0.6 - 0.02 * parts.generator.version  # type: ignore[attr-defined]
        return stage.crib[request.prompt] if random.Random(request.prompt).random() < kept else "1"

    assert alarms(stage, parts, tmp_path, forgets) == {"accuracy_falls/deduction"}


def test_an_induction_buffer_that_never_grows_is_caught(stage: Stage, parts: Parts, tmp_path: Path) -> None:
    def cannot_write_inputs(request: Request, rng: random.Random) -> str:
        if request.role is Role.PROPOSE:
            return "(1,2) and so on" if request.kind is Kind.INDUCTION else proposal(request.kind, rng)
        return stage.crib[request.prompt] if rng.random() < 0.6 else "1"

    found = alarms(stage, parts, tmp_path, cannot_write_inputs, ("deduction", "abduction", "induction"))
    assert found == {"stagnant_buffer/induction", "proposer_reward/induction"}
