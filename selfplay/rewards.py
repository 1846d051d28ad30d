"""From verdicts to rewards. Pure; see DESIGN section 5 and arXiv 2505.03335, equations 4 to 6.

Owns what each outcome is worth, the shapes of learnability, and the two optional parts on top, which are bounded: a
proposer's bonus for rare traits and a solver's credit for a near answer. Does not: measure rarity or nearness
(selfplay.shaping), compare samples (learner).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from configs.play_sections import RewardSection
from tasks.records import AdmissionStatus, VerdictStatus

# right, wrong, ill_formed, bad_format, refused
PRESETS = {"paper": (1.0, -0.5, -1.0, -1.0, -0.5), "journal": (1.0, -1.0, -1.0, -1.0, -0.5)}
OUTCOMES = ("right", "wrong", "ill_formed", "bad_format", "refused")


def one_minus(rate: float, target: float) -> float:
    """1 − s: the harder the better (equation 4)."""
    del target
    return 1.0 - rate


def parabola(rate: float, target: float) -> float:
    """4s(1 − s): the variance of one attempt, in proportion to its greatest, at s = 1/2."""
    del target
    return 4.0 * rate * (1.0 - rate)


def toward_target(rate: float, target: float) -> float:
    """1 − |s − target| / max(target, 1 − target): 1 at the target, 0 at the end that is farther from it."""
    return 1.0 - abs(rate - target) / max(target, 1.0 - target)


SHAPES: dict[str, Callable[[float, float], float]] = {
    "one_minus": one_minus,
    "parabola": parabola,
    "target": toward_target,
}


def learnability(rate: float, shape: str = "one_minus", target: float = 0.5) -> float:
    """What a task of solve rate s is worth: above 0 where 0 < s < 1, else 0; hard, but not impossible."""
    return SHAPES[shape](rate, target) if 0.0 < rate < 1.0 else 0.0


def solve_rate(statuses: Sequence[VerdictStatus]) -> float:
    """s(x): the mean correctness of the sampled attempts at one task; a near answer is a wrong one."""
    return sum(status is VerdictStatus.RIGHT for status in statuses) / len(statuses)


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardTable:
    """What each outcome is worth; a preset with the section's own values over it."""

    right: float
    wrong: float
    ill_formed: float
    bad_format: float
    refused: float
    duplicate: float
    shape: str = "one_minus"
    target: float = 0.5
    novelty: float = 0.0
    partial: float = 0.0
    level: float = 0.0

    @classmethod
    def from_section(cls, section: RewardSection) -> "RewardTable":
        preset = dict(zip(OUTCOMES, PRESETS[section.preset], strict=True))
        own = {name: getattr(section, name) for name in OUTCOMES}
        values = {name: preset[name] if own[name] is None else own[name] for name in OUTCOMES}
        values["duplicate"] = values["refused"] if section.duplicate is None else section.duplicate
        extras = {"target": section.target, "novelty": section.novelty, "partial": section.partial, "level": section.level}
        return cls(shape=section.learnability, **values, **extras)

    def solver(self, status: VerdictStatus) -> float:
        return {VerdictStatus.RIGHT: self.right, VerdictStatus.WRONG: self.wrong}.get(status, self.ill_formed)

    def proposer(self, status: AdmissionStatus, solve_rate: float, repeats: bool = False) -> float:
        """`solve_rate` counts only for an admitted proposal, `repeats` for one that is refused as a repeat."""
        if status is AdmissionStatus.ADMITTED:
            return learnability(solve_rate, self.shape, self.target)
        if status is AdmissionStatus.BAD_FORMAT:
            return self.bad_format
        return self.duplicate if repeats else self.refused

    def novelty_bonus(self, status: AdmissionStatus, solve_rate: float, rarity: float) -> float:
        """From 0 to `novelty`, on top of `proposer`; only for a task that is learnable, so that odd junk earns nothing."""
        learnable = status is AdmissionStatus.ADMITTED and 0.0 < solve_rate < 1.0
        return self.novelty * rarity if learnable else 0.0

    def partial_credit(self, status: VerdictStatus, nearness: float) -> float:
        """On top of `solver`, for a wrong answer: the share `partial` · nearness of the way from wrong to right."""
        return self.partial * nearness * (self.right - self.wrong) if status is VerdictStatus.WRONG else 0.0
