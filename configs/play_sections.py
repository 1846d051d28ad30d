"""Sections of what is played: the model, the family of tasks, the two roles, their rewards, the buffers and the curriculum."""

from typing import Literal, Self

from pydantic import Field, model_validator

from configs.section import KindName, Section


class StandInSection(Section):
    """The tiny model made on the spot where no pre-trained one is given; its warm start stands in for pre-training."""

    hidden_size: int = Field(128, ge=16, description="Width.")
    num_layers: int = Field(2, ge=1, description="Transformer blocks.")
    num_heads: int = Field(4, ge=1, description="Attention heads; each 32 wide or a multiple of it.")
    seed: int = Field(0, ge=0, description="Seed of its initial weights and warm-start data; part of the cache key.")
    warmup_steps: int = Field(500, ge=0, description="Supervised steps of the warm start.")
    batch_size: int = Field(128, ge=1, description="Examples per warm-start step.")
    lr: float = Field(2e-3, gt=0, description="Peak learning rate of the warm start.")
    weight_decay: float = Field(
        0.3, ge=0, description="AdamW weight decay of the warm start; strong, so that problems not shown are inferred."
    )
    examples: int = Field(0, ge=0, description="Examples made, then drawn again; 0: each is new (slow where programs are run).")
    solve_weights: dict[KindName, float] = Field(
        {}, description="How often a kind's answers are shown, by kind, beside the usual; 1 where not named."
    )
    propose_weights: dict[KindName, float] = Field(
        {}, description="How often a kind's proposals are shown, by kind, beside the usual; 1 where not named."
    )
    known_share: float = Field(
        1, gt=0, le=1, description="Share of the tasks (by fingerprint) whose answers it shows; the others are left to learn."
    )
    misprint_share: float = Field(
        0,
        ge=0,
        lt=1,
        description="Share of the answers shown with one wrong character, as in any text; it keeps the model unsure.",
    )
    cache: str = Field("~/.cache/absolute-zero-ray", description="Where warm-started models are kept, by recipe fingerprint.")

    @model_validator(mode="after")
    def _every_format_is_shown(self) -> Self:
        for name, weights in (("solve_weights", self.solve_weights), ("propose_weights", self.propose_weights)):
            for kind, weight in weights.items():
                if weight <= 0:
                    raise ValueError(f"{name}.{kind} must be above 0, got {weight}: a format never seen is never written")
        return self

    @model_validator(mode="after")
    def _head_size_fits(self) -> Self:
        if self.hidden_size % (32 * self.num_heads):
            raise ValueError(
                f"hidden_size must be num_heads times a multiple of 32 (vLLM's attention on CPU), got {self.hidden_size} "
                f"with {self.num_heads} heads"
            )
        return self


class ModelSection(Section):
    name_or_path: str = Field("stand-in", description="Hugging Face name, local folder, or `stand-in`.")
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="Weights and compute; CPUs are fastest in float32.")
    prompt_format: Literal["auto", "chat", "plain"] = Field("auto", description="auto: chat template if the tokenizer has one.")
    stand_in: StandInSection = StandInSection()


class FamilySection(Section):
    name: str = Field("arithmetic", description="Task family, by its entry-point name.")
    kinds: tuple[KindName, ...] = Field(("deduction", "abduction", "induction"), min_length=1, description="Kinds played.")
    options: dict[str, bool | int | float | str | list[int] | list[str]] = Field(
        {}, description="The family's own options; the family checks them."
    )


class ProposerSection(Section):
    source: Literal["model", "generator"] = Field(
        "model", description="Who proposes: the model, or the family's generator at random (a control arm)."
    )
    train: bool = Field(True, description="Train the proposer role; false: only the solver learns (a control arm).")
    references: int = Field(6, ge=0, description="Buffered tasks shown to the proposer, drawn uniformly (K of the paper).")
    oversample: int = Field(2, ge=1, description="Proposals sampled per task wanted.")
    duplicates: Literal["refuse", "reattempt"] = Field(
        "refuse", description="A proposal already buffered: refused, or attempted and rewarded anew (small domains run dry)."
    )
    temperature: float = Field(1.0, gt=0, description="Sampling temperature; must be above 0 to explore.")
    max_tokens: int = Field(32, ge=1, description="Longest proposal.")


class SolverSection(Section):
    attempts: int = Field(8, ge=2, description="Sampled attempts per task (G); they measure its solve rate.")
    fresh_share: float = Field(
        1.0, gt=0, le=1, description="Share of a step's tasks that are new proposals; the others are drawn from the buffer."
    )
    top_up: Literal["uniform", "frontier"] = Field(
        "uniform", description="How the others are drawn: uniformly (the paper), or by s(1 - s) of their last solve rate."
    )
    rehearsal: float = Field(
        0,
        ge=0,
        le=1,
        description="Share of those that is drawn uniformly all the same, lest what is known be forgotten; 0: none.",
    )
    reuse_attempts: bool = Field(True, description="Train on those attempts; false: the paper's scheme, one fresh attempt.")
    temperature: float = Field(
        1.0, gt=0, description="Sampling temperature; greedy attempts would make every solve rate 0 or 1."
    )
    max_tokens: int = Field(16, ge=1, description="Longest answer.")
    truncated: Literal["mask", "penalise"] = Field(
        "penalise", description="A completion cut by length: no gradient, or ill-formed."
    )


class RewardSection(Section):
    preset: Literal["paper", "journal"] = Field("paper", description="paper: 1/-0.5/-1 (eq. 6); journal: ±1.")
    right: float | None = Field(None, description="Solver, right answer; empty: the preset's.")
    wrong: float | None = Field(None, description="Solver, wrong but well formed; empty: the preset's.")
    ill_formed: float | None = Field(None, description="Solver, no readable answer; empty: the preset's.")
    bad_format: float | None = Field(None, description="Proposer, does not parse; empty: the preset's.")
    refused: float | None = Field(None, description="Proposer, parses but is not admitted; empty: the preset's.")
    duplicate: float | None = Field(None, description="Proposer, refused as a repeat only; empty: as reward.refused.")
    learnability: Literal["one_minus", "parabola", "target"] = Field(
        "one_minus", description="Proposer, where 0 < s < 1: 1 - s (eq. 4), 4s(1 - s), or best at reward.target."
    )
    target: float = Field(0.5, ge=0, le=1, description="The solve rate that learnability `target` pays best.")
    novelty: float = Field(
        0.0, ge=0, le=1, description="Proposer: most that traits rare in the whole buffer earn a learnable task; 0: off."
    )
    level: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Proposer: share of what tasks of equal traits earn beyond their kind that advantages leave out; 0: off.",
    )
    partial: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Solver, deduction: share of the way from wrong to right that a near integer earns; 0: off.",
    )


class BuffersSection(Section):
    seed_size: int = Field(32, ge=1, description="Tasks per kind after the seeding phase.")
    seed_rounds: int = Field(4, ge=0, description="Proposal rounds of the seeding phase before generated seeds fill the rest.")
    capacity: int = Field(16384, ge=1, description="Tasks per kind; beyond it the oldest proposed task goes.")


class CurriculumSection(Section):
    """What steers which tasks a step is made of; all of it is off by default, and each part has scalars of its own."""

    ramp_len: int = Field(0, ge=0, description="Steps over which the bound on a task's difficulty rises; 0: there is none.")
    ramp_start: float = Field(0.0, ge=0, description="The bound in the first step, as difficulty/… measures it.")
    ramp_end: float = Field(0.0, ge=0, description="The bound in step ramp_len; it rises to it linearly.")
    ramp_lift: bool = Field(True, description="No bound after step ramp_len; false: ramp_end stays.")
    mined_share: float = Field(
        0.0, ge=0, le=0.5, description="Most of a kind's tasks in a step that are drawn from buffered ones that failed; 0: off."
    )
    mined_rate: float = Field(0.0, ge=0, lt=1, description="The highest newest solve rate of a task that counts as failed.")
    balance: float = Field(
        0.0,
        ge=0,
        le=0.9,
        description="How much of its tasks a kind may lose to, or gain from, kinds with more learnable tasks; 0: none.",
    )

    @model_validator(mode="after")
    def _ramp_rises(self) -> Self:
        if self.ramp_len and not 0 < self.ramp_start <= self.ramp_end:
            raise ValueError(
                f"ramp_end must be at least ramp_start, and that above 0, got {self.ramp_end:g} and {self.ramp_start:g}; "
                "difficulty/… of a run without a ramp says what is easy and what is hard"
            )
        return self
