"""Watches the scalars of a run and says when something is wrong. Pure: records in, alarms out.

Invariants: an alarm fires once per episode. It fires when a reading is bad, and its episode ends after `alarms.window` good
readings in a row (`alarms.evaluations` for those of held-out accuracy). All that is remembered follows from the records,
so that a resumed run, shown the earlier ones again, goes on where it was. Does not: write anything (telemetry.alarm_log).

    scalar ──▶ meter: one reading ──▶ bad? ── yes, and quiet ──▶ fires        good, N times in a row, and active ──▶ clears
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from configs.alarms_section import AlarmsSection
from telemetry.alarm_meters import Meter
from telemetry.alarm_rules import RULES, Reach, Rule
from telemetry.records import Phase, StepRecord

ROLES = ("propose", "solve")
ONLY_SELFPLAY = ("stagnant_buffer",)  # a fixed data set is no buffer that failed to grow
ONLY_SEVERAL_KINDS = ("one_kind_pays",)
WITH_STALENESS = ("mismatch", "mismatch_grows")  # the policy's own change is in what they read: times 1 + staleness


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One alarm going off. `readings`: how many steps (or evaluations) the value covers."""

    global_step: int
    step: int
    name: str
    severity: str
    value: float
    threshold: float
    readings: int
    remedy: str

    def line(self) -> str:
        return f"{self.name} is {self.value:.3g} (limit {self.threshold:g}, over {self.readings}): {self.remedy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What one step changed, and the state of every alarm that has something to go by: `alarm/NAME`, 1 while active."""

    fired: tuple[Alarm, ...] = ()
    cleared: tuple[str, ...] = ()
    scalars: dict[str, float]


@dataclass(slots=True)
class _Watch:
    """One alarm: its meter, and whether an episode is going on."""

    rule: Rule
    name: str
    scalar: str
    meter: Meter
    threshold: float
    readings: int
    active: bool | None = None  # None: nothing to go by yet
    good: int = 0

    def take(self, record: StepRecord) -> Alarm | None:
        """The alarm if it goes off with this record."""
        value = self.meter.read(record.scalars, self.scalar)
        if value is None:
            return None
        was_active = bool(self.active)
        bad = self.rule.is_bad(value, self.threshold)
        self.good = 0 if bad else self.good + 1
        self.active = bad or (was_active and self.good < self.readings)
        return self._alarm(record, value) if self.active and not was_active else None

    def _alarm(self, record: StepRecord, value: float) -> Alarm:
        return Alarm(
            global_step=record.global_step,
            step=record.step,
            name=self.name,
            severity=self.rule.severity,
            value=value,
            threshold=self.threshold,
            readings=self.readings,
            remedy=self.rule.remedy,
        )


class AlarmMonitor:
    """The alarms of one run. `selfplay`: whether the buffers are meant to grow. `staleness`: `pipeline.staleness`."""

    def __init__(
        self, section: AlarmsSection, kinds: Sequence[str], *, capacity: int, selfplay: bool, staleness: int = 0
    ) -> None:
        rules = [
            rule
            for rule in RULES
            if (selfplay or rule.name not in ONLY_SELFPLAY) and (len(kinds) > 1 or rule.name not in ONLY_SEVERAL_KINDS)
        ]
        reach = Reach(section=section, capacity=capacity, staleness=staleness)
        self._watches = [watch for rule in rules for watch in _watches(rule, reach, kinds)] if section.enabled else []

    def take(self, record: StepRecord) -> Changes:
        """The records of self-play, each once, in order; those of other phases change nothing."""
        if record.phase is not Phase.SELF_PLAY:
            return Changes(scalars={})
        before = [watch.active for watch in self._watches]
        fired = [alarm for watch in self._watches if (alarm := watch.take(record))]
        return Changes(
            fired=tuple(fired),
            cleared=tuple(watch.name for watch, was in zip(self._watches, before, strict=True) if was and not watch.active),
            scalars={f"alarm/{watch.name}": float(watch.active) for watch in self._watches if watch.active is not None},
        )


def _watches(rule: Rule, reach: Reach, kinds: Sequence[str]) -> Iterator[_Watch]:
    section = reach.section
    by_kind = kinds if "{kind}" in rule.scalar else ("",)
    threshold = float(getattr(section, rule.key)) if rule.key else 0.0
    by_role = ROLES if "{role}" in rule.scalar else ("",)
    for kind, role in product(by_kind, by_role):
        yield _Watch(
            rule=rule,
            name="/".join(part for part in (rule.name, kind, role) if part),
            scalar=rule.scalar.format(kind=kind, role=role),
            meter=rule.meter(reach),
            threshold=threshold * (1 + reach.staleness) if rule.name in WITH_STALENESS else threshold,
            readings={"accuracy_falls": section.evaluations, "not_finite": 1}.get(rule.name, section.window),
        )
