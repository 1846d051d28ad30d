"""The tree of a run's configuration: frozen sections, each field with its default, its bounds and one line of reason.

A part of the program gets its own section, never the whole tree. Families bring their own options (`family.options`),
which the family itself checks. `docs/configuration.md` is generated from this file.
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

KindName = Literal["deduction", "abduction", "induction"]


class Section(BaseModel):
    """Frozen; an unknown key is an error, and so is an infinite number."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RunSection(Section):
    root: str = Field("runs", description="Folder that holds run directories.")
    name: str = Field(
        "",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*)?$",
        description="Run directory under root; empty: CONFIG-sSEED. An existing one is resumed.",
    )
    steps: int = Field(200, ge=0, description="Self-play steps in all (a resumed run counts those already done).")
    token_budget: int = Field(
        0, ge=0, description="Ends the run once self-play has generated so many tokens; 0: after its steps."
    )
    checkpoint_every: int = Field(25, ge=1, description="Steps between checkpoints; the last step is always kept.")
    keep_checkpoints: int = Field(
        2, ge=1, description="Newest checkpoints kept; the best by held-out accuracy is kept as well."
    )
    notes: str = Field("", description="Free text shown on the leaderboard.")


class StandInSection(Section):
    """The tiny model made on the spot where no pre-trained one is given; its warm start stands in for pre-training."""

    hidden_size: int = Field(128, ge=16, description="Width.")
    num_layers: int = Field(2, ge=1, description="Transformer blocks.")
    num_heads: int = Field(4, ge=1, description="Attention heads; each 32 wide or a multiple of it.")
    seed: int = Field(0, ge=0, description="Seed of its initial weights and warm-start data; part of the cache key.")
    warmup_steps: int = Field(500, ge=0, description="Supervised steps of the warm start.")
    batch_size: int = Field(128, ge=1, description="Examples per warm-start step.")
    lr: float = Field(2e-3, gt=0, description="Peak learning rate of the warm start.")
    examples: int = Field(0, ge=0, description="Examples made, then drawn again; 0: each is new (slow where programs are run).")
    cache: str = Field("~/.cache/absolute-zero-ray", description="Where warm-started models are kept, by recipe fingerprint.")

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
    learnability: Literal["one_minus", "parabola", "target"] = Field(
        "one_minus", description="Proposer, where 0 < s < 1: 1 - s (eq. 4), 4s(1 - s), or best at reward.target."
    )
    target: float = Field(0.5, ge=0, le=1, description="The solve rate that learnability `target` pays best.")
    novelty: float = Field(
        0.0, ge=0, le=1, description="Proposer: most that traits rare in the whole buffer earn a learnable task; 0: off."
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


class LossSection(Section):
    clip_low: float = Field(0.2, gt=0, lt=1, description="Lower clip of the ratio.")
    clip_high: float = Field(0.28, gt=0, description="Upper clip of the ratio.")
    importance_cap: float = Field(2.0, ge=1, description="Cap of the truncated importance weight against sampler mismatch.")
    importance_mask: float = Field(
        1e4, gt=1, description="Tokens whose train/sample ratio lies outside [1/x, x] get no gradient and are counted."
    )
    kl_beta: float = Field(0.0, ge=0, description="Weight of the k3 KL to the frozen reference model; 0: none is loaded.")
    entropy_coef: float = Field(0.0, ge=0, description="Entropy bonus.")
    normaliser: Literal["token", "sequence", "constant"] = Field(
        "token", description="What the summed token losses are divided by."
    )
    constant_length: int = Field(256, ge=1, description="Tokens per sequence under `constant`.")


class LearnerSection(Section):
    world_size: int = Field(1, ge=1, description="DeepSpeed ranks.")
    zero_stage: Literal[0, 1, 2, 3] = Field(0, description="ZeRO stage.")
    device: Literal["cpu", "gpu"] = Field("cpu", description="gpu: one GPU and NCCL per rank; cpu: gloo.")
    cpus: float = Field(0.5, gt=0, description="Ray CPUs per rank.")
    threads: int = Field(1, ge=1, description="Torch threads per rank (CPU); more than the free cores is far slower than one.")
    advantage: Literal["trrpp", "trrpp_ema", "reinforce_pp", "role_baseline", "grpo", "dr_grpo", "rloo", "solver_grpo"] = Field(
        "trrpp", description="Advantage estimator (docs/concepts.md)."
    )
    lr: float = Field(5e-4, gt=0, description="Peak learning rate (AdamW).")
    lr_final: float = Field(0.1, ge=0, le=1, description="Linear decay to this share of lr at the last step; 1: constant.")
    lr_warmup_steps: int = Field(0, ge=0, description="Linear warm-up.")
    weight_decay: float = Field(0.0, ge=0, description="AdamW weight decay.")
    beta1: float = Field(0.9, ge=0, lt=1, description="AdamW first moment.")
    beta2: float = Field(0.95, ge=0, lt=1, description="AdamW second moment.")
    grad_clip: float = Field(1.0, gt=0, description="Global gradient norm.")
    minibatches: int = Field(1, ge=1, description="Optimizer steps per batch; 1 keeps the update on-policy.")
    micro_batch_tokens: int = Field(16384, ge=1, description="Padded tokens per forward pass; bounds memory.")
    max_row_tokens: int = Field(4096, ge=1, description="Longest row (a prompt and its attempts); longer groups are split.")
    activation_checkpointing: bool = Field(False, description="Recompute activations in the backward pass to save memory.")
    loss: LossSection = LossSection()


class GeneratorsSection(Section):
    engine: Literal["vllm", "transformers"] = Field("vllm", description="transformers: parity checks and debugging.")
    count: int = Field(1, ge=1, description="Generator actors; the curve does not depend on it in sync mode.")
    device: Literal["cpu", "gpu"] = Field("cpu", description="gpu: one GPU per generator.")
    cpus: float = Field(0.5, gt=0, description="Ray CPUs per generator.")
    threads: int = Field(1, ge=1, description="OpenMP threads per generator (CPU).")
    max_model_len: int = Field(256, ge=16, description="Longest prompt plus completion in tokens.")
    max_num_seqs: int = Field(256, ge=1, description="Sequences decoded together.")
    gpu_memory_utilization: float = Field(0.85, gt=0, le=1, description="Share of GPU memory that vLLM takes.")
    kv_cache_gib: int = Field(1, ge=1, description="KV cache on CPU in GiB.")
    enforce_eager: bool = Field(True, description="No graph capture; false compiles and is faster on GPU.")


class VerifiersSection(Section):
    count: int = Field(1, ge=1, description="Verifier actors.")
    cpus: float = Field(0.25, gt=0, description="Ray CPUs per verifier.")
    workers: int = Field(1, ge=1, description="Fork servers per verifier and hash seed; for programs that run in the sandbox.")
    timeout_s: float = Field(5.0, gt=0, le=3600, description="Wall-clock limit of one run of a program.")
    memory_mb: int = Field(512, ge=64, le=2**20, description="Address space of one run of a program, in MiB.")
    max_output_kb: int = Field(64, ge=1, le=64, description="Largest output of a program in KiB; never truncated.")


class EvaluationSection(Section):
    every: int = Field(25, ge=1, description="Steps between evaluations; the first and last state are always measured.")
    max_tokens: int = Field(16, ge=1, description="Longest greedy answer.")
    data: dict[str, str] = Field(
        {}, description="Further suites of the first and last evaluation: name to JSONL; absent ones are left out."
    )


class TelemetrySection(Section):
    wandb: Literal["offline", "online", "disabled"] = Field("offline", description="`wandb sync` uploads an offline run later.")
    project: str = Field("absolute-zero-ray", description="W&B project.")
    entity: str = Field("", description="W&B entity; empty: your default.")
    tables_every: int = Field(10, ge=1, description="Steps between table rows in W&B (JSONL has every step).")
    table_rows: int = Field(32, ge=1, description="Rows per table and interval in W&B (JSONL has all).")


class ClusterSection(Section):
    address: str = Field("auto", description="auto: join a running cluster, else start a local one; local; or an address.")
    dashboard_port: int = Field(0, ge=0, le=65535, description="Dashboard of a local cluster; 0: a free port.")
    object_store_mib: int = Field(512, ge=80, description="Object store of a local cluster.")
    placement_timeout_s: float = Field(120.0, gt=0, description="Deadline for placement groups.")
    start_timeout_s: float = Field(600.0, gt=0, description="Deadline for an actor to be ready (engine start, model load).")
    call_timeout_s: float = Field(600.0, gt=0, description="Deadline of one remote call.")


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
    learner: LearnerSection = LearnerSection()
    generators: GeneratorsSection = GeneratorsSection()
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
        if self.mode == "grpo":
            return 0
        return max(1, round(self.num_tasks(kind) * self.solver.fresh_share))

    @property
    def rows_per_step(self) -> int:
        """Upper bound of trajectories in one update."""
        attempts = self.solver.attempts if self.solver.reuse_attempts else 1
        return sum(
            self.num_fresh(kind) * self.proposer.oversample + self.num_tasks(kind) * attempts for kind in self.family.kinds
        )
