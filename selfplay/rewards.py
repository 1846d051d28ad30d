"""From verdicts to rewards. Pure; see DESIGN section 5 and arXiv 2505.03335, equations 4 to 6."""

from collections.abc import Sequence
from dataclasses import dataclass

from configs.schema import RewardSection
from tasks.records import AdmissionStatus, VerdictStatus

# right, wrong, ill_formed, bad_format, refused
PRESETS = {"paper": (1.0, -0.5, -1.0, -1.0, -0.5), "journal": (1.0, -1.0, -1.0, -1.0, -0.5)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardTable:
    """What each outcome is worth; a preset with the section's own values over it."""

    right: float
    wrong: float
    ill_formed: float
    bad_format: float
    refused: float

    @classmethod
    def from_section(cls, section: RewardSection) -> "RewardTable":
        names = ("right", "wrong", "ill_formed", "bad_format", "refused")
        preset = dict(zip(names, PRESETS[section.preset], strict=True))
        own = {name: getattr(section, name) for name in names}
        return cls(**{name: preset[name] if own[name] is None else own[name] for name in names})

    def solver(self, status: VerdictStatus) -> float:
        return {VerdictStatus.RIGHT: self.right, VerdictStatus.WRONG: self.wrong}.get(status, self.ill_formed)

    def proposer(self, status: AdmissionStatus, solve_rate: float) -> float:
        """`solve_rate` counts only for an admitted proposal."""
        if status is AdmissionStatus.ADMITTED:
            return learnability(solve_rate)
        return self.bad_format if status is AdmissionStatus.BAD_FORMAT else self.refused


def solve_rate(statuses: Sequence[VerdictStatus]) -> float:
    """s(x): the mean correctness of the sampled attempts at one task."""
    return sum(status is VerdictStatus.RIGHT for status in statuses) / len(statuses)


def learnability(rate: float) -> float:
    """r_propose = 1 - s when 0 < s < 1, else 0 (equation 4): hard, but not impossible."""
    return 1.0 - rate if 0.0 < rate < 1.0 else 0.0
