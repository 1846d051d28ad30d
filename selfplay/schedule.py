"""How far a run is, when it ends, and which learning rate that means. Pure.

A run ends after `run.steps`, or earlier once it has generated `run.token_budget` tokens: arms of an experiment with equal
budgets make different numbers of steps. The learning rate follows whichever comes first.
"""

from configs.system_sections import LearnerSection, RunSection


def is_over(section: RunSection, step: int, tokens: int) -> bool:
    """Whether a run that has done `step` steps and generated `tokens` tokens is done."""
    return step >= section.steps or bool(section.token_budget and tokens >= section.token_budget)


def progress(section: RunSection, step: int, tokens: int) -> float:
    """From 0 at the first step to 1 at the last; `step` counts from 1, `tokens` are those of the steps before it."""
    by_steps = (step - 1) / max(1, section.steps - 1)
    by_tokens = tokens / section.token_budget if section.token_budget else 0.0
    return min(1.0, max(by_steps, by_tokens))


def learning_rate(section: LearnerSection, step: int, done: float) -> float:
    """Linear warm-up over `lr_warmup_steps`, times a linear decay to `lr_final` of the peak as `done` goes from 0 to 1."""
    rise = min(1.0, step / section.lr_warmup_steps) if section.lr_warmup_steps else 1.0
    return section.lr * rise * (1 - (1 - section.lr_final) * done)
