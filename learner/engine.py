"""DeepSpeed, behind five verbs: forward, backward, step, gather, snapshot/load.

Owns the process group, the DeepSpeed configuration and the traps of both. Invariant: after any number of micro-batches
and one `step`, the weights are those of plain AdamW on the sum of the losses over all micro-batches and ranks, whatever
the ZeRO stage. Does not: know trajectories, losses or learning-rate schedules.

Every collective has the deadline `timeout_s`: a dead rank is an error on the others, not a silent wait.
"""

import json
import logging
import math
import os
import pickle
import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch._C._distributed_c10d import HashStore

from configs.errors import UserError
from configs.system_sections import LearnerSection
from learner.snapshot import copied

TAG = "engine"
LAYOUT = "layout.json"


def join(rank: int, world_size: int, master: str, device: str, timeout_s: float) -> None:
    """Joins the process group at `master` (host:port, or env:// under torchrun).

    A process that is in one of the right size already stays there (an in-process vLLM makes one).
    """
    if dist.is_initialized():
        if (dist.get_rank(), dist.get_world_size()) != (rank, world_size):
            raise RuntimeError(
                f"this process is rank {dist.get_rank()} of {dist.get_world_size()} already and cannot be rank {rank} of "
                f"{world_size}; give each learner rank a process of its own"
            )
        return
    backend = "nccl" if device == "gpu" else "gloo"
    timeout = timedelta(seconds=timeout_s)
    if world_size == 1:  # no port, so none can be in use
        dist.init_process_group(backend, store=HashStore(), rank=0, world_size=1, timeout=timeout)
    else:
        method = master if "://" in master else f"tcp://{master}"
        dist.init_process_group(backend, init_method=method, rank=rank, world_size=world_size, timeout=timeout)


def forget_dead_groups() -> None:
    """DeepSpeed remembers its groups for ever; an in-process vLLM ends all groups of the process when it is closed."""
    from deepspeed.utils import groups

    remembered = groups._WORLD_GROUP
    if remembered is not None and remembered not in dist.distributed_c10d._world.pg_map:
        groups._release_process_group_references()


def torch_device(device: str) -> torch.device:
    """The device of this rank: a Ray actor sees one GPU only; torchrun says which by LOCAL_RANK."""
    if device == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UserError("learner.device must be cpu on a machine without CUDA, got gpu; set learner.device=cpu")
    index = int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count()
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def deepspeed_config(section: LearnerSection, dtype: str, own_clipping: bool) -> dict[str, Any]:
    """`gradient_clipping` is left to us where DeepSpeed would not say the norm."""
    return {
        "train_micro_batch_size_per_gpu": 1,  # bookkeeping only: micro-batches come ready, and the loss is already normalised
        "gradient_accumulation_steps": 1,
        "gradient_clipping": 0.0 if own_clipping else section.grad_clip,
        "zero_optimization": {"stage": section.zero_stage, "overlap_comm": section.device == "gpu"},
        "bf16": {"enabled": dtype == "bfloat16"},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 2**31,
    }


class Engine:
    """One rank's DeepSpeed engine around a scorer (`learner.forward.Policy`)."""

    def __init__(
        self, policy: nn.Module, section: LearnerSection, *, dtype: str, timeout_s: float, master: str, rank: int
    ) -> None:
        os.environ["DS_ACCELERATOR"] = "cuda" if section.device == "gpu" else "cpu"  # read once, at import
        os.environ.setdefault("LOCAL_RANK", "0")  # DeepSpeed insists; torchrun sets it, and an actor sees one GPU only
        logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
        warnings.filterwarnings(
            "ignore", message=r".*torch\.distributed\.\w+` is deprecated", category=FutureWarning
        )  # DeepSpeed's
        self.rank, self.world_size = rank, section.world_size
        self.device = torch_device(section.device)
        join(rank, section.world_size, master, section.device, timeout_s)
        import deepspeed  # 6 s, and it looks for its accelerator: only who trains pays

        logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
        forget_dead_groups()
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False  # else C++ is compiled for 40 s
        self._gathered = deepspeed.zero.GatheredParameters
        self._section, self._dtype = section, dtype
        self._own_clipping = section.zero_stage == 0 and dtype == "float32"
        policy.to(self.device)
        optimizer = torch.optim.AdamW(
            [parameter for parameter in policy.parameters() if parameter.requires_grad],
            lr=section.lr,
            betas=(section.beta1, section.beta2),
            weight_decay=section.weight_decay,
            fused=True,
        )
        self._engine, self._optimizer, _, _ = deepspeed.initialize(
            model=policy,
            optimizer=optimizer,
            config=deepspeed_config(section, dtype, self._own_clipping),
            dist_init_required=False,
        )

    def forward(self, **inputs: Any) -> Any:
        return self._engine(**inputs)

    def backward(self, loss: torch.Tensor, last: bool) -> None:
        """Adds the gradient of `loss`; ranks are summed. `last` marks the final micro-batch before `step`."""
        self._engine.set_gradient_accumulation_boundary(last)
        # DeepSpeed averages over ranks; the loss is normalised over all of them already.
        self._engine.backward(loss * self.world_size)

    def step(self, lr: float) -> float:
        """One clipped AdamW step; returns the gradient norm before clipping."""
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        if self._own_clipping:
            norm = torch.nn.utils.clip_grad_norm_(self._engine.module.parameters(), self._section.grad_clip)
            self._engine.step()
            return float(norm)
        self._engine.step()
        norm = self._engine.get_global_grad_norm()
        return math.nan if norm is None else float(norm)

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over ranks, in place."""
        if self.world_size > 1:
            dist.all_reduce(values)
        return values

    def barrier(self) -> None:
        if self.world_size > 1:
            dist.barrier()

    def gather(self, model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
        """(name, whole tensor) of each parameter, one at a time.

        Every rank must exhaust it: at stage 3 each tensor is a collective. Below stage 3 the tensors share the weights'
        memory: copy them before the next `step`.
        """
        for name, parameter in model.named_parameters():
            sharded = hasattr(parameter, "ds_id")
            with self._gathered([parameter]) if sharded else nullcontext():
                yield name, parameter.detach().clone() if sharded else parameter.detach()

    def snapshot(self, path: Path, state: dict[str, Any]) -> tuple[dict[Path, Any], dict[Path, str]]:
        """DeepSpeed's checkpoint for `path` with the caller's `state`, in host memory: what torch saves and texts, by file.

        Every rank must call it; it makes the folders. The second part is the layout that the first was written in.
        """
        states: dict[Path, Any] = {}

        def hold(state_dict: Any, path: str) -> None:
            states[Path(path)] = copied(state_dict)

        writer = self._engine.checkpoint_engine
        writer.save = hold  # in place of DeepSpeed's own, which writes at once
        try:
            self._engine.save_checkpoint(str(path), tag=TAG, client_state=state, save_latest=False)
        finally:
            del writer.save
        return states, {path / LAYOUT: json.dumps(self._layout())} if self.rank == 0 else {}

    def load(self, path: Path) -> dict[str, Any]:
        """Restores weights and optimizer, returns the state given to `snapshot`. UserError when that cannot be done exactly."""
        if not (path / LAYOUT).exists():
            raise UserError(f"{path} holds no whole trainer checkpoint; resume from another checkpoint")
        try:
            written = json.loads((path / LAYOUT).read_text())
        except ValueError as error:
            raise UserError(f"{path / LAYOUT} is corrupt ({error}); resume from another checkpoint") from error
        if written != self._layout():
            raise UserError(
                f"{path} was written with {written}, this run has {self._layout()}; resume with the same learner layout"
            )
        try:
            _, state = self._engine.load_checkpoint(str(path), tag=TAG)
        except (
            RuntimeError,
            AssertionError,
            EOFError,
            LookupError,
            OSError,
            ValueError,
            pickle.UnpicklingError,
        ) as error:  # torch.load on bad bytes
            raise UserError(f"{path} cannot be read ({error!r}); it is corrupt, resume from another checkpoint") from error
        return dict(state)

    def _layout(self) -> dict[str, Any]:
        return {"world_size": self.world_size, "zero_stage": self._section.zero_stage, "dtype": self._dtype}
