"""The section of the alarms: when a run's scalars are bad enough to be told. What each alarm means: docs/observability.md."""

from pydantic import Field

from configs.section import Section


class AlarmsSection(Section):
    """Readings are means over `window` steps, so that one odd step is no alarm."""

    enabled: bool = Field(True, description="false: no alarms, no `alarm/…` scalars, no alarms.jsonl.")
    window: int = Field(10, ge=1, description="Steps that a reading covers, and good ones in a row that end an alarm.")
    proposer_reward: float = Field(
        0.02, ge=0, le=1, description="proposer_reward at or below this share of proposals that earn more than 0."
    )
    buffer_growth: float = Field(
        0.005, ge=0, description="stagnant_buffer at or below this growth over the steps: a healthy buffer gains some per cent."
    )
    diversity: float = Field(
        0.35, ge=0, le=1, description="low_diversity at or below it: new tasks have a third of the entropy of as many seeds."
    )
    duplicates: float = Field(0.5, ge=0, le=1, description="duplicates above it: most proposals are wasted samples.")
    kind_share: float = Field(
        0.9, gt=0, le=1, description="one_kind_pays above it: nearly all tasks that can be paid are of one kind."
    )
    accuracy_fall: float = Field(
        1.0, gt=0, description="accuracy_falls above it, in widths from the best accuracy to the low end of its interval."
    )
    evaluations: int = Field(
        2, ge=1, description="Evaluations in a row that must be so low: one alone is chance once in a dozen."
    )
    mismatch: float = Field(
        0.05,
        gt=0,
        description="mismatch above it × (1 + pipeline.staleness): mean |Δ logprob|; bfloat16 alone stays well below.",
    )
    mismatch_growth: float = Field(
        3.0,
        gt=1,
        description="mismatch_grows above it × (1 + pipeline.staleness), times the first steps; below 1e-3 it never counts.",
    )
    zero_variance: float = Field(
        0.25, ge=0, le=1, description="zero_variance above it: GRPO runs were seen to stall from a quarter on."
    )
    zero_variance_collapse: float = Field(
        0.5, ge=0, le=1, description="zero_variance_collapse above it: GRPO runs were seen to fall apart from a half on."
    )
    validity_fall: float = Field(
        0.5, ge=0, lt=1, description="validity_falls at or below this share of the best validity so far."
    )
    truncated: float = Field(0.2, ge=0, le=1, description="truncated above it: completions do not fit their max_tokens.")
    one_sided: float = Field(
        0.9, gt=0, le=1, description="never_solved, always_solved above this share of tasks: nearly none can teach."
    )
    throughput_fall: float = Field(
        0.25, ge=0, lt=1, description="slow at or below this share of the best tokens/s so far (medians)."
    )
