"""Each alarm is provoked by scalars as a run makes them, and stays silent on those of a recorded run."""

import json
import math
import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.alarms_section import AlarmsSection
from configs.loader import load_config
from configs.schema_keys import known_keys
from telemetry.alarm_rules import RULES, Rule
from telemetry.alarms import Alarm, AlarmMonitor
from telemetry.records import Phase, StepRecord

RECORDED = Path(__file__).parent / "data" / "recorded_run.json"  # steps 0-99, embedded default with learner.minibatches=4
KINDS = ("deduction", "abduction", "induction")
STEPS = 4
Scalars = dict[str, float]


def record(step: int, scalars: Scalars, phase: Phase = Phase.SELF_PLAY) -> StepRecord:
    return StepRecord(global_step=500 + step, phase=phase, step=step, version=step, scalars=scalars)


def monitor(kinds: tuple[str, ...] = KINDS, selfplay: bool = True, **thresholds: float) -> AlarmMonitor:
    section = AlarmsSection.model_validate({"window": STEPS, **thresholds})
    return AlarmMonitor(section, kinds, capacity=1000, selfplay=selfplay)


def good(step: int) -> Scalars:
    """A step of a run that goes well: nothing quite constant, an evaluation every second step."""
    wobble = 0.02 * math.sin(step)
    scalars = {"zero_std": 0.2 + wobble, "mismatch/mean": 3e-7 * (1 + wobble), "tokens/per_s": 1000 * (1 + wobble)}
    for kind in KINDS:
        scalars |= {
            f"paid/{kind}": 0.3 + wobble,
            f"buffer/{kind}": 100.0 + 5 * step,
            f"diversity/{kind}/all/of_seeds": 0.9 + wobble,
            f"duplicate/{kind}": 0.2 + wobble,
            f"learnability/{kind}/share": 1 / 3 + wobble,
            f"valid/{kind}": 0.8 + wobble,
            f"solve_rate/{kind}/never": 0.1 + wobble,
            f"solve_rate/{kind}/always": 0.1 + wobble,
            f"truncated/{kind}/propose": 0.02,
            f"truncated/{kind}/solve": 0.01,
        }
        if step % 2 == 0:
            scalars |= {f"eval/{kind}/accuracy": 0.4 + 0.2 * wobble, f"eval/{kind}/low": 0.33 + 0.2 * wobble}
    return scalars


# What goes wrong after a good beginning, by alarm: scalars to be changed at a step.
FAILURES: dict[str, Callable[[int], Scalars]] = {
    "proposer_reward/abduction": lambda step: {"paid/abduction": 0.0},
    "stagnant_buffer/induction": lambda step: {"buffer/induction": 140.0},
    "low_diversity/deduction": lambda step: {"diversity/deduction/all/of_seeds": 0.1},
    "duplicates/deduction": lambda step: {"duplicate/deduction": 0.97},
    "one_kind_pays/deduction": lambda step: {
        "learnability/deduction/share": 0.97, "learnability/abduction/share": 0.02, "learnability/induction/share": 0.01,
    },
    "accuracy_falls/deduction": lambda step: {} if step % 2 else {"eval/deduction/accuracy": 0.25, "eval/deduction/low": 0.2},
    "mismatch": lambda step: {"mismatch/mean": 0.2},
    "mismatch_grows": lambda step: {"mismatch/mean": 0.02},
    "zero_variance": lambda step: {"zero_std": 0.4},
    "zero_variance_collapse": lambda step: {"zero_std": 0.7},
    "validity_falls/induction": lambda step: {"valid/induction": 0.2},
    "truncated/deduction/solve": lambda step: {"truncated/deduction/solve": 0.5},
    "never_solved/induction": lambda step: {"solve_rate/induction/never": 1.0},
    "always_solved/abduction": lambda step: {"solve_rate/abduction/always": 1.0},
    "slow": lambda step: {"tokens/per_s": 100.0},
    "not_finite": lambda step: {"loss/total": math.nan},
}  # fmt: skip
COME_TOGETHER = {"mismatch": {"mismatch_grows"}, "zero_variance_collapse": {"zero_variance"}}
BEGIN, END = 12, 30  # the steps that go wrong


def played(
    watching: AlarmMonitor, failure: Callable[[int], Scalars], last: int = 60
) -> tuple[list[Alarm], list[tuple[int, str]]]:
    fired, cleared = [], []
    for step in range(last):
        changes = watching.take(record(step, good(step) | (failure(step) if BEGIN <= step < END else {})))
        fired += changes.fired
        cleared += [(step, name) for name in changes.cleared]
    return fired, cleared


def test_every_rule_has_a_failure_that_provokes_it() -> None:
    assert {name.split("/")[0] for name in FAILURES} == {rule.name for rule in RULES}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_fires_its_alarm_once_and_no_other_and_the_alarm_ends_with_it(name: str) -> None:
    fired, cleared = played(monitor(), FAILURES[name])
    expected = {name} | COME_TOGETHER.get(name, set())
    assert sorted(alarm.name for alarm in fired) == sorted(expected)
    assert all(BEGIN <= alarm.step < BEGIN + 2 * STEPS for alarm in fired)
    assert sorted(ended for _, ended in cleared) == sorted(expected)
    assert all(step >= END for step, _ in cleared)


@pytest.mark.parametrize("name", FAILURES)
def test_the_scalar_of_an_alarm_is_1_from_the_step_that_fires_to_the_one_that_ends_it(name: str) -> None:
    watching = monitor()
    states = [
        watching.take(record(step, good(step) | (FAILURES[name](step) if BEGIN <= step < END else {}))).scalars
        for step in range(60)
    ]
    values = [state[f"alarm/{name}"] for state in states if f"alarm/{name}" in state]
    assert set(values) == {0.0, 1.0}
    assert sum(before != after for before, after in pairwise(values)) == 2
    assert values[-1] == 0.0


@pytest.mark.parametrize("staleness", [0, 2])
def test_what_the_policy_itself_moves_between_sampling_and_learning_is_no_mismatch(staleness: int) -> None:
    def limits(mismatch: float) -> dict[str, float]:
        watching = AlarmMonitor(AlarmsSection(window=STEPS), KINDS, capacity=1000, selfplay=True, staleness=staleness)
        return {alarm.name: alarm.threshold for alarm in played(watching, lambda step: {"mismatch/mean": mismatch})[0]}

    assert ("mismatch" in limits(0.06)) == (staleness == 0)
    assert limits(0.3) == pytest.approx({"mismatch": 0.05 * (1 + staleness), "mismatch_grows": 3 * (1 + staleness)})


def test_a_run_that_goes_well_is_silent() -> None:
    assert played(monitor(), lambda step: {}) == ([], [])


def recorded() -> Iterable[StepRecord]:
    columns: dict[str, list[float | None]] = json.loads(RECORDED.read_text())
    for step, values in enumerate(zip(*columns.values(), strict=True)):
        yield record(step, {name: value for name, value in zip(columns, values, strict=True) if value is not None})


def test_a_recorded_run_of_the_embedded_default_is_silent() -> None:
    config = load_config("tiny-cpu")
    watching = AlarmMonitor(
        config.telemetry.alarms, config.family.kinds, capacity=config.buffers.capacity, selfplay=config.mode == "selfplay"
    )
    changes = [watching.take(step) for step in recorded()]
    assert len(changes) == 100
    assert [alarm.line() for change in changes for alarm in change.fired] == []
    seen = {name.split("/")[1] for name in changes[-1].scalars}
    assert seen == {rule.name for rule in RULES}, "each had something to go by"


def test_one_odd_step_is_no_alarm() -> None:
    watching = monitor()
    fired = [
        alarm
        for step in range(30)
        for alarm in watching.take(record(step, good(step) | ({"zero_std": 0.35} if step == 15 else {}))).fired
    ]
    assert fired == []


def test_an_alarm_says_what_it_saw() -> None:
    [alarm] = played(monitor(), FAILURES["zero_variance"])[0]
    assert (alarm.severity, alarm.threshold, alarm.readings) == ("warn", 0.25, STEPS)
    assert 0.25 < alarm.value < 0.4
    assert alarm.global_step == 500 + alarm.step
    assert re.match(r"zero_variance is 0\.\d+ \(limit 0\.25, over 4\): draw tasks", alarm.line())


def test_a_threshold_of_the_configuration_is_the_one_that_counts() -> None:
    assert played(monitor(zero_variance=0.45), FAILURES["zero_variance"])[0] == []


def test_a_buffer_at_its_capacity_and_a_fixed_data_set_are_not_stagnant() -> None:
    full: Scalars = {f"buffer/{kind}": 1000.0 for kind in KINDS}
    fixed: Scalars = {f"buffer/{kind}": 500.0 for kind in KINDS}
    assert played(monitor(), lambda step: full, last=END)[0] == []
    assert played(monitor(selfplay=False), lambda step: fixed, last=END)[0] == []
    fired, _ = played(monitor(), lambda step: fixed, last=END)
    assert {alarm.name for alarm in fired} == {f"stagnant_buffer/{kind}" for kind in KINDS}


def test_the_only_kind_of_a_run_may_take_all_the_reward() -> None:
    watching = monitor(kinds=("deduction",))
    assert played(watching, lambda step: {"learnability/deduction/share": 1.0})[0] == []


def test_warm_start_and_seeding_are_not_watched() -> None:
    watching = monitor()
    for step, phase in enumerate((Phase.WARM_START, Phase.SEEDING) * 10):
        changes = watching.take(record(step, {"zero_std": 1.0, "warm_start/loss": math.nan}, phase))
        assert (changes.fired, changes.scalars) == ((), {})


def test_alarms_that_are_switched_off_say_nothing() -> None:
    watching = monitor(enabled=False)
    assert played(watching, FAILURES["not_finite"]) == ([], [])
    assert watching.take(record(99, good(99))).scalars == {}


@given(st.lists(st.one_of(st.none(), st.floats(0, 1), st.just(math.nan)), max_size=60))
def test_firing_and_ending_take_turns_and_agree_with_the_scalar(shares: list[float | None]) -> None:
    watching = monitor()
    active = False
    for step, share in enumerate(shares):
        changes = watching.take(record(step, {} if share is None else {"zero_std": share}))
        names = [alarm.name for alarm in changes.fired]
        if "zero_variance" in names:
            assert not active
            active = True
        if "zero_variance" in changes.cleared:
            assert active
            active = False
        assert bool(changes.scalars.get("alarm/zero_variance")) == active


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_remedy_is_one_line_that_names_keys_of_the_configuration(rule: Rule) -> None:
    keys = re.findall(r"\b[a-z_]+(?:\.[a-z_]+)+\b", rule.remedy)
    assert keys
    assert [key for key in keys if key not in known_keys()] == []
    assert "\n" not in rule.remedy
    assert not rule.key or f"telemetry.alarms.{rule.key}" in known_keys()


def test_every_threshold_belongs_to_a_rule() -> None:
    assert set(AlarmsSection.model_fields) - {rule.key for rule in RULES} == {"enabled", "window", "evaluations"}


def test_the_page_on_observability_has_a_row_for_each_alarm_with_its_meaning_and_threshold() -> None:
    page = (Path(__file__).parents[2] / "docs" / "observability.md").read_text(encoding="utf-8")
    rows = {line.split("|")[1].strip(): line for line in page.splitlines() if line.startswith("| `")}
    for rule in RULES:
        limit = f"`{rule.key}` ({getattr(AlarmsSection(), rule.key):g})" if rule.key else "any"
        parts = "/".join(part for part in ("{kind}", "{role}") if part in rule.scalar)
        name = f"`{rule.name}/{parts}`" if parts else f"`{rule.name}`"
        assert rows[name] == f"| {name} | {rule.severity} | {rule.meaning} | {limit} |"
