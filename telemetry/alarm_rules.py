"""The alarms there are: what each reads, when it is bad, and what to do about it. A table; docs/observability.md shows it.

A rule with `{kind}` (and `{role}`) in its scalar stands for one alarm per kind (and role), named `rule/kind/role`. The
threshold is the key of `telemetry.alarms` that the rule names. Remedies name keys of the configuration that exist.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from configs.alarms_section import AlarmsSection
from telemetry.alarm_meters import (
    SMALLEST_MISMATCH,
    Fall,
    Growth,
    Mean,
    Meter,
    NotFinite,
    ShareOfBest,
    TimesFirst,
    median_share,
)


class Severity(StrEnum):
    WARN = "warn"  # the run gets worse or wastes time
    CRITICAL = "critical"  # what the run does from here on is probably lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What a meter needs to know of the run."""

    section: AlarmsSection
    capacity: int  # of a buffer
    staleness: int = 0  # policy versions that a trained rollout may be behind


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Bad: the reading is above the threshold, or (`above` false) at or below it."""

    name: str
    severity: Severity
    scalar: str
    meter: Callable[[Reach], Meter]
    key: str
    above: bool
    meaning: str
    remedy: str

    def is_bad(self, value: float, threshold: float) -> bool:
        return value > threshold if self.above else value <= threshold


NO_THRESHOLD = ""  # any reading above 0 is bad


def _mean(reach: Reach) -> Meter:
    return Mean(reach.section.window)


RULES = (
    Rule(
        name="proposer_reward",
        severity=Severity.CRITICAL,
        scalar="paid/{kind}",
        meter=_mean,
        key="proposer_reward",
        above=False,
        meaning="no proposal of this kind earns more than 0: they are refused, never solved or always solved",
        remedy="see valid/, solve_rate/ and refusal/ of the kind: raise solver.attempts if never solved, set reward.refused=0 "
        "and reward.bad_format=0 if mostly refused, reward.learnability=one_minus if always solved",
    ),
    Rule(
        name="stagnant_buffer",
        severity=Severity.WARN,
        scalar="buffer/{kind}",
        meter=lambda reach: Growth(reach.section.window, reach.capacity),
        key="buffer_growth",
        above=False,
        meaning="the kind's buffer does not grow: nothing new is admitted",
        remedy="see refusal/ of the kind: for duplicates raise proposer.temperature or set proposer.duplicates=reattempt, for "
        "unreadable text raise proposer.max_tokens or proposer.references",
    ),
    Rule(
        name="low_diversity",
        severity=Severity.WARN,
        scalar="diversity/{kind}/all/of_seeds",
        meter=_mean,
        key="diversity",
        above=False,
        meaning="mode collapse: the entropy of the kind's new tasks, over that of as many seeds, is low",
        remedy="raise proposer.temperature and proposer.references, and pay rare tasks with reward.novelty",
    ),
    Rule(
        name="duplicates",
        severity=Severity.WARN,
        scalar="duplicate/{kind}",
        meter=_mean,
        key="duplicates",
        above=True,
        meaning="mode collapse: most of the kind's proposals are known already",
        remedy="raise proposer.temperature, pay rare tasks with reward.novelty; a domain that is small wants "
        "proposer.duplicates=reattempt or wider family.options",
    ),
    Rule(
        name="one_kind_pays",
        severity=Severity.WARN,
        scalar="learnability/{kind}/share",
        meter=_mean,
        key="kind_share",
        above=True,
        meaning="nearly all new tasks that can be paid (0 < s < 1) are of this kind",
        remedy="see solve_rate/ of the other kinds; weigh them with kind_weights, keep baselines apart with "
        "learner.advantage=trrpp, pay middling rates with reward.learnability=parabola",
    ),
    Rule(
        name="accuracy_falls",
        severity=Severity.CRITICAL,
        scalar="eval/{kind}/accuracy",
        meter=lambda reach: Fall(reach.section.evaluations),
        key="accuracy_fall",
        above=True,
        meaning="held-out accuracy is below its best by more than the best's interval, several evaluations in a row",
        remedy="the best checkpoint is kept; begin from it with a lower learner.lr, learner.loss.kl_beta above 0, or a lower "
        "solver.fresh_share, which rehearses more",
    ),
    Rule(
        name="mismatch",
        severity=Severity.CRITICAL,
        scalar="mismatch/mean",
        meter=_mean,
        key="mismatch",
        above=True,
        meaning="sampler and learner disagree about the tokens' probabilities",
        remedy="set model.dtype=float32 or generators.enforce_eager=true, lower learner.minibatches; lower "
        "learner.loss.importance_mask drops the worst tokens",
    ),
    Rule(
        name="mismatch_grows",
        severity=Severity.WARN,
        scalar="mismatch/mean",
        meter=lambda reach: TimesFirst(reach.section.window, SMALLEST_MISMATCH),
        key="mismatch_growth",
        above=True,
        meaning="that disagreement is several times what it was in the first steps",
        remedy="lower learner.lr and learner.minibatches, set model.dtype=float32",
    ),
    Rule(
        name="zero_variance",
        severity=Severity.WARN,
        scalar="zero_std",
        meter=_mean,
        key="zero_variance",
        above=True,
        meaning="the attempts at many a task all earn the same: such a task teaches nothing",
        remedy="draw tasks with solver.top_up=frontier and a lower solver.fresh_share, raise solver.attempts or "
        "solver.temperature, set reward.learnability=target",
    ),
    Rule(
        name="zero_variance_collapse",
        severity=Severity.CRITICAL,
        scalar="zero_std",
        meter=_mean,
        key="zero_variance_collapse",
        above=True,
        meaning="that holds for so many tasks that the batch is mostly empty",
        remedy="stop and begin from the best checkpoint with solver.top_up=frontier, a lower solver.fresh_share, more "
        "solver.attempts and a lower learner.lr",
    ),
    Rule(
        name="validity_falls",
        severity=Severity.WARN,
        scalar="valid/{kind}",
        meter=lambda reach: ShareOfBest(reach.section.window),
        key="validity_fall",
        above=False,
        meaning="far fewer of the kind's proposals are admitted than at best",
        remedy="see refusal/ of the kind; lower learner.lr or proposer.temperature; raise proposer.max_tokens if they are cut",
    ),
    Rule(
        name="truncated",
        severity=Severity.WARN,
        scalar="truncated/{kind}/{role}",
        meter=_mean,
        key="truncated",
        above=True,
        meaning="many completions of this kind and role are cut by length",
        remedy="raise proposer.max_tokens or solver.max_tokens with generators.max_model_len, or set solver.truncated=penalise",
    ),
    Rule(
        name="never_solved",
        severity=Severity.WARN,
        scalar="solve_rate/{kind}/never",
        meter=_mean,
        key="one_sided",
        above=True,
        meaning="nearly no task of this kind is ever solved",
        remedy="narrow family.options, lower solver.fresh_share with solver.top_up=frontier, raise solver.attempts",
    ),
    Rule(
        name="always_solved",
        severity=Severity.WARN,
        scalar="solve_rate/{kind}/always",
        meter=_mean,
        key="one_sided",
        above=True,
        meaning="nearly every task of this kind is always solved",
        remedy="widen family.options, set reward.learnability=one_minus, which pays the hard, or give the kind less of the "
        "step with kind_weights",
    ),
    Rule(
        name="slow",
        severity=Severity.WARN,
        scalar="tokens/per_s",
        meter=lambda reach: median_share(reach.section.window),
        key="throughput_fall",
        above=False,
        meaning="the median tokens/s are far below the best so far",
        remedy="see time/: which stage grew? Something else may run on the machine; raise generators.count or verifiers.count",
    ),
    Rule(
        name="not_finite",
        severity=Severity.CRITICAL,
        scalar="",
        meter=lambda reach: NotFinite(),
        key=NO_THRESHOLD,
        above=True,
        meaning="a scalar is not a number: the update is broken",
        remedy="begin from the newest checkpoint with a lower learner.lr or learner.grad_clip",
    ),
)
