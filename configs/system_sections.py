"""Sections of what plays it: run, learner, generators, pipeline, verifiers, evaluation, telemetry and cluster."""

from typing import Literal

from pydantic import Field

from configs.alarms_section import AlarmsSection
from configs.section import Section


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


class LossSection(Section):
    clip_low: float = Field(0.2, gt=0, lt=1, description="Lower clip of the ratio.")
    clip_high: float = Field(0.28, gt=0, description="Upper clip of the ratio.")
    importance_cap: float = Field(2.0, ge=1, description="Cap of the truncated importance weight against sampler mismatch.")
    importance_mask: float = Field(
        1e4, gt=1, description="Tokens whose train/sample ratio lies outside [1/x, x] get no gradient and are counted."
    )
    kl_beta: float = Field(0.0, ge=0, description="Weight of the k3 KL to the frozen reference model; 0: none is loaded.")
    entropy_coef: float = Field(0.0, ge=0, description="Entropy bonus.")
    proposer_entropy_coef: float = Field(
        0.0, ge=0, description="What proposals have of it besides, lest all become the one sort that pays best."
    )
    normaliser: Literal["token", "sequence", "constant"] = Field(
        "token", description="What the summed token losses are divided by."
    )
    constant_length: int = Field(256, ge=1, description="Tokens per sequence under `constant`.")
    proposer_weight: float = Field(
        1.0, gt=0, description="What a proposal counts beside an attempt; the paper has as many of one as of the other."
    )


class LearnerSection(Section):
    world_size: int = Field(1, ge=1, description="DeepSpeed ranks.")
    zero_stage: Literal[0, 1, 2, 3] = Field(0, description="ZeRO stage.")
    device: Literal["cpu", "gpu"] = Field("cpu", description="gpu: one GPU and NCCL per rank; cpu: gloo.")
    cpus: float = Field(0.5, gt=0, description="Ray CPUs per rank.")
    threads: int = Field(1, ge=1, description="Torch threads per rank (CPU).")
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


class SimulatedSection(Section):
    """An engine without a model, which sleeps and gives canned answers: to try the control plane at any size."""

    step_s: float = Field(0.02, ge=0, description="Seconds of a step, which gives each running sequence a token.")
    sequence_s: float = Field(0.0, ge=0, description="Seconds that each running sequence adds to it.")
    load_s: float = Field(0.0, ge=0, description="Seconds that taking new weights lasts.")


class GeneratorsSection(Section):
    engine: Literal["vllm", "transformers", "simulated"] = Field(
        "vllm", description="transformers: parity checks and debugging; simulated: no model, for trials of the control plane."
    )
    count: int = Field(1, ge=1, description="Generator actors; the curve does not depend on it in sync mode.")
    device: Literal["cpu", "gpu"] = Field("cpu", description="gpu: one GPU per generator.")
    cpus: float = Field(0.5, gt=0, description="Ray CPUs per generator.")
    threads: int = Field(1, ge=1, description="OpenMP threads per generator (CPU).")
    max_model_len: int = Field(256, ge=16, description="Longest prompt plus completion in tokens.")
    max_num_seqs: int = Field(256, ge=1, description="Sequences decoded together.")
    gpu_memory_utilization: float = Field(0.85, gt=0, le=1, description="Share of GPU memory that vLLM takes.")
    kv_cache_gib: int = Field(1, ge=1, description="KV cache on CPU in GiB.")
    enforce_eager: bool = Field(True, description="No graph capture; false compiles and is faster on GPU.")
    simulated: SimulatedSection = SimulatedSection()


class PipelineSection(Section):
    staleness: int = Field(
        0, ge=0, le=64, description="Policy versions that a trained rollout may be behind; 0: the synchronous loop, on-policy."
    )
    swap: Literal["drain", "keep"] = Field(
        "drain", description="A generator takes new weights once its running requests are done, or with them in flight."
    )
    in_flight: int = Field(512, ge=1, description="Requests that one generator holds at once; the others wait for any of them.")
    retries: int = Field(
        2, ge=0, description="Times that a request moves to another generator when its own dies; then dropped."
    )
    request_timeout_s: float = Field(600.0, gt=0, description="Deadline of a generator with requests in flight to answer any.")
    batch_timeout_s: float = Field(3600.0, gt=0, description="Deadline of a stage for a part, and of the learner for a batch.")


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
    train_set: str = Field(
        "",
        description="A data set of the family to set beside the held-out suites (eval/gap); empty: mode grpo's own, else none.",
    )
    hard_items: int = Field(
        0, ge=0, description="The hardest held-out tasks of each kind, so many, are told apart (eval/hard/…); 0: none."
    )
    data: dict[str, str] = Field(
        {}, description="Further suites of the first and last evaluation: name to JSONL; absent ones are left out."
    )


class TelemetrySection(Section):
    wandb: Literal["offline", "online", "disabled"] = Field("offline", description="`wandb sync` uploads an offline run later.")
    project: str = Field("absolute-zero-ray", description="W&B project.")
    entity: str = Field("", description="W&B entity; empty: your default.")
    tables_every: int = Field(10, ge=1, description="Steps between table rows in W&B (JSONL has every step).")
    table_rows: int = Field(32, ge=1, description="Rows per table and interval in W&B (JSONL has all).")
    alarms: AlarmsSection = AlarmsSection()


class ClusterSection(Section):
    address: str = Field("auto", description="auto: join a running cluster, else start a local one; local; or an address.")
    dashboard_port: int = Field(0, ge=0, le=65535, description="Dashboard of a local cluster; 0: a free port.")
    object_store_mib: int = Field(512, ge=80, description="Object store of a local cluster.")
    placement_timeout_s: float = Field(120.0, gt=0, description="Deadline for placement groups.")
    start_timeout_s: float = Field(600.0, gt=0, description="Deadline for an actor to be ready (engine start, model load).")
    call_timeout_s: float = Field(600.0, gt=0, description="Deadline of one remote call; who is later is taken for lost.")
    restarts: int = Field(
        8, ge=0, description="Times within an hour that a lost actor is made anew; one more ends the run (docs/faults.md)."
    )
