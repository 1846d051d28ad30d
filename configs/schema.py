"""The tree of a run's configuration: frozen sections, each field with its default, its bounds and one line of reason.

A part of the program gets its own section, never the whole tree. Families bring their own options (`family.options`),
which the family itself checks. `docs/configuration.md` is generated from these files.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from configs.play_sections import (
    BuffersSection,
    CurriculumSection,
    FamilySection,
    ModelSection,
    ProposerSection,
    RewardSection,
    SolverSection,
)
from configs.section import KindName, Section
from configs.system_sections import (
    ClusterSection,
    EvaluationSection,
    GeneratorsSection,
    LearnerSection,
    PipelineSection,
    RunSection,
    TelemetrySection,
    VerifiersSection,
)


class RunConfig(Section):
    """One run. Every random choice derives from `seed`."""

    seed: int = Field(0, ge=0, description="The run's seed; recorded everywhere.")
    mode: Literal["selfplay", "grpo"] = Field(
        "selfplay", description="grpo: no proposer; the solver trains on a fixed data set of the family."
    )
    dataset: str = Field("", description="mode grpo: a data set of the family, by name; it fills the buffers once.")
    tasks_per_kind: int = Field(16, ge=1, description="Tasks solved per kind and step (B of the paper).")
    kind_weights: dict[KindName, float] = Field(
        {}, description="Multiplies tasks_per_kind for the kinds named; the others count 1."
    )
    run: RunSection = RunSection()
    model: ModelSection = ModelSection()
    family: FamilySection = FamilySection()
    proposer: ProposerSection = ProposerSection()
    solver: SolverSection = SolverSection()
    reward: RewardSection = RewardSection()
    buffers: BuffersSection = BuffersSection()
    curriculum: CurriculumSection = CurriculumSection()
    learner: LearnerSection = LearnerSection()
    generators: GeneratorsSection = GeneratorsSection()
    pipeline: PipelineSection = PipelineSection()
    verifiers: VerifiersSection = VerifiersSection()
    evaluation: EvaluationSection = EvaluationSection()
    telemetry: TelemetrySection = TelemetrySection()
    cluster: ClusterSection = ClusterSection()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        longest = max(self.proposer.max_tokens, self.solver.max_tokens, self.evaluation.max_tokens)
        if longest >= self.generators.max_model_len:
            raise ValueError(
                f"generators.max_model_len must exceed every max_tokens, got {self.generators.max_model_len} and {longest}"
            )
        if (self.mode == "grpo") != bool(self.dataset):
            raise ValueError(
                f"dataset must name a data set of the family in mode grpo and be empty in mode selfplay, got {self.dataset!r} "
                f"with mode {self.mode}"
            )
        for kind, weight in self.kind_weights.items():
            if weight <= 0:
                raise ValueError(
                    f"kind_weights.{kind} must be above 0, got {weight}; leave the kind out of family.kinds instead"
                )
        if self.mode == "selfplay" and self.curriculum.mined_share > 1 - self.solver.fresh_share + 1e-9:
            raise ValueError(
                f"curriculum.mined_share must be at most 1 - solver.fresh_share, got {self.curriculum.mined_share:g} with "
                f"fresh_share {self.solver.fresh_share:g}; lower one of them: mined tasks take no new task's place"
            )
        if self.buffers.capacity < self.buffers.seed_size:
            raise ValueError(
                f"buffers.capacity must be at least buffers.seed_size ({self.buffers.seed_size}), got {self.buffers.capacity}"
            )
        if not self.solver.reuse_attempts and self.learner.advantage in ("grpo", "dr_grpo", "rloo", "solver_grpo"):
            raise ValueError(
                f"learner.advantage must not be {self.learner.advantage} with solver.reuse_attempts=false: one attempt a task "
                "has no siblings to be compared with; take trrpp, or reuse_attempts=true"
            )
        if self.learner.minibatches > self.rows_per_step:
            raise ValueError(
                f"learner.minibatches must be at most the {self.rows_per_step} rows of a step, got {self.learner.minibatches}"
            )
        return self

    def num_tasks(self, kind: str) -> int:
        """Tasks of this kind that a step solves."""
        weight = next((weight for name, weight in self.kind_weights.items() if name == kind), 1.0)
        return max(1, round(self.tasks_per_kind * weight))

    def num_fresh(self, kind: str) -> int:
        """How many of them come from the step's own proposals; at least one, where there is a proposer."""
        return self.num_fresh_of(self.num_tasks(kind))

    def num_fresh_of(self, num_tasks: int) -> int:
        """The same of so many tasks of a kind."""
        return 0 if self.mode == "grpo" else max(1, round(num_tasks * self.solver.fresh_share))

    @property
    def rows_per_step(self) -> int:
        """Upper bound of trajectories in one update."""
        attempts = self.solver.attempts if self.solver.reuse_attempts else 1
        rounding = self.proposer.oversample if self.curriculum.balance and self.mode == "selfplay" else 0
        return sum(
            self.num_fresh(kind) * self.proposer.oversample + rounding + self.num_tasks(kind) * attempts
            for kind in self.family.kinds
        )
