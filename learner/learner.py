"""The learner: a batch of trajectories in, one joint update of the policy, a publication out.

A plain class: it runs in this process, under torchrun, or inside a Ray actor per rank. With several ranks every rank is
called with the same full batch and takes its share; all return the same scalars. Invariant: `update` is a pure function
of (weights, optimizer, number of updates, batch), so that a resumed run repeats the uninterrupted one bit for bit.
Does not: compute rewards or advantages, know Ray, decide when to publish or checkpoint.
"""

import os
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from configs.errors import UserError
from configs.system_sections import LearnerSection
from learner import losses, model_files, packing
from learner.engine import Engine
from learner.forward import Policy, to_device
from learner.packing import IntArray, MicroBatch, Rows, TokenTable
from learner.snapshot import Snapshot, copied
from learner.weights import Bucket, Publication, pack
from tasks.records import Trajectory
from tasks.seeds import derive_seed

# Rows of the metrics table: one value per completion token of the batch. Each token is scored by one rank, so that a sum
# over ranks fills the table.
COLUMNS = ("new", "old", "entropy", "clip_frac", "masked", "kl")
TERMS = ("policy", "kl", "entropy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Minibatch:
    """What one optimizer step is made of on this rank. weights_N: over the whole batch, zero outside this minibatch.

    idle: rows without an advantage, scored for the metrics alone; they have no gradient.
    """

    micro_batches: tuple[MicroBatch, ...]
    idle: tuple[MicroBatch, ...]
    weights_N: torch.Tensor


class Learner:
    """Implements `selfplay.protocols.Learner`."""

    def __init__(
        self,
        model_path: str,
        config: LearnerSection,
        *,
        dtype: str,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        master: str = "127.0.0.1:29511",
        timeout_s: float = 600.0,
    ) -> None:
        if world_size != config.world_size:
            raise ValueError(
                f"world_size must be learner.world_size ({config.world_size}), got {world_size}; start that many ranks"
            )
        torch.set_num_threads(config.threads)
        torch.manual_seed(derive_seed(seed, "learner", rank))
        self._model_path, self._config, self._dtype = model_path, config, getattr(torch, dtype)
        self._seed, self._rank, self._world_size = seed, rank, world_size
        self._updates = 0
        self._policy = Policy(model_files.read(model_path, self._dtype))
        if config.activation_checkpointing:
            self._policy.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self._policy.train()
        self._engine = Engine(self._policy, config, dtype=dtype, timeout_s=timeout_s, master=master, rank=rank)
        self._reference: Policy | None = None
        if config.loss.kl_beta > 0:
            self._reference = (
                Policy(model_files.read(model_path, self._dtype)).to(self._engine.device).eval().requires_grad_(False)
            )

    @classmethod
    def under_torchrun(cls, model_path: str, config: LearnerSection, *, dtype: str, seed: int) -> Self:
        """This process's rank, as torchrun's environment says."""
        rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        where = {"rank": rank, "world_size": world_size}
        return cls(model_path, config, dtype=dtype, seed=seed, master="env://", **where)

    def update(self, batch: Sequence[Trajectory], lr: float) -> dict[str, float]:
        """One joint update (`learner.minibatches` optimizer steps). A batch without a trainable token makes none."""
        self._updates += 1
        chosen = packing.trainable(batch)
        if not chosen:
            return {"lr": lr, "learner/optimizer_steps": 0.0, "learner/tokens": 0.0, "learner/computed_tokens": 0.0}
        table = packing.flatten(chosen)
        rows = packing.lay_out(packing.group(chosen, self._config.max_row_tokens), table)
        self._policy.check_lengths(int(rows.positions.max()) + 1)
        minibatches = self._plan(rows, table)
        tokens = self._tokens(table)
        if len(minibatches) > 1:
            tokens["old"] = self._old_logprobs(minibatches, len(table.targets_N))
        values = torch.zeros(len(COLUMNS), len(table.targets_N), device=self._engine.device)
        steps = [self._step(minibatch, tokens, values, lr) for minibatch in minibatches]
        scalars = {name: sum(step[name] for step in steps) / len(steps) for name in steps[0]}
        return scalars | self._averages(values, table) | self._sizes(rows, table, len(minibatches)) | {"lr": lr}

    def publish(self, version: int, rooms: list[Bucket] | None = None) -> Publication:
        """The weights as generators load them; empty on ranks other than 0, which take part in the gathering.

        `rooms`: memory to put them in (`learner.weights.pack`).
        """
        tensors = self._engine.gather(self._policy.model)
        return pack((item for item in tensors if self._rank == 0), version, rooms=rooms)

    def snapshot(self, path: Path) -> Snapshot:
        """path/model: Hugging Face format; path/trainer: weights and optimizer as DeepSpeed has them, RNGs, updates done.

        Every rank must take it, and write it.
        """
        tensors = {name: copied(tensor) for name, tensor in self._engine.gather(self._policy.model) if self._rank == 0}
        trainer = path / "trainer"
        states, texts = self._engine.snapshot(trainer, {"updates": self._updates})
        states[trainer / f"rng-{self._rank}.pt"] = _random_state()
        write_model = partial(model_files.write, self._policy.model, tensors, path / "model", self._model_path)
        return Snapshot(folder=path, states=states, texts=texts, write_model=write_model if self._rank == 0 else None)

    def save(self, path: Path) -> None:
        """A snapshot, written before it returns; whole once every rank has returned."""
        self.snapshot(path).write()
        self._engine.barrier()

    def load(self, path: Path) -> None:
        """Goes on exactly where the snapshot was taken, with as many ranks and the same ZeRO stage."""
        trainer = path / "trainer"
        state = self._engine.load(trainer)
        self._updates = int(state["updates"])
        random_state = trainer / f"rng-{self._rank}.pt"
        try:
            _restore_random_state(torch.load(random_state, weights_only=True))
        except (OSError, EOFError, LookupError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
            raise UserError(f"{random_state} cannot be read ({error!r}); resume from another checkpoint") from error

    def _plan(self, rows: Rows, table: TokenTable) -> list[Minibatch]:
        """Rows (a prompt and its attempts) stay whole; with several minibatches they are shuffled by the run's seed."""
        order = np.arange(len(rows.rows))
        if self._config.minibatches > 1:
            order = np.random.default_rng(derive_seed(self._seed, "minibatches", self._updates)).permutation(order)
        parts = [part for part in np.array_split(order, self._config.minibatches) if len(part)]
        return [self._minibatch(rows, part, table) for part in parts]

    def _minibatch(self, rows: Rows, part: IntArray, table: TokenTable) -> Minibatch:
        samples = np.array([sample for row in part for sample in rows.rows[row].samples])
        weights_S = np.zeros(len(table.lengths_S), np.float32)
        weights_S[samples] = losses.normaliser(self._config.loss, table.lengths_S[samples])
        weights_S[samples] *= losses.role_weights(self._config.loss, table.proposals_S[samples])
        teaches = self._teaches(rows, part, table)
        return Minibatch(
            micro_batches=self._share(rows, part[teaches], table),
            idle=self._share(rows, part[~teaches], table),
            weights_N=torch.from_numpy(weights_S[table.samples_N]).to(self._engine.device),
        )

    def _share(self, rows: Rows, part: IntArray, table: TokenTable) -> tuple[MicroBatch, ...]:
        """This rank's."""
        plan = packing.shares(rows, part, self._config.micro_batch_tokens, self._world_size)[self._rank] if len(part) else []
        return tuple(packing.micro_batch(rows, chosen, table, counts) for chosen, counts in plan)

    def _teaches(self, rows: Rows, part: IntArray, table: TokenTable) -> npt.NDArray[np.bool_]:
        """Which of these rows have a gradient: those with an advantage, and those of which a term of the loss needs none.

        All, where no row has one: every update has a backward pass.
        """
        advantage_S = np.zeros(len(table.lengths_S), np.float32)
        np.maximum.at(advantage_S, table.samples_N, np.abs(table.advantages_N))
        found = np.array([advantage_S[list(rows.rows[row].samples)].any() for row in part])
        section = self._config.loss
        if section.proposer_entropy_coef > 0:
            found |= np.array([table.proposals_S[list(rows.rows[row].samples)].any() for row in part])
        always = section.kl_beta > 0 or section.entropy_coef > 0
        return np.ones_like(found) if always or not found.any() else found

    def _sizes(self, rows: Rows, table: TokenTable, num_steps: int) -> dict[str, float]:
        """Completion tokens trained on, the inputs they cost with shared beginnings, and what they would cost without."""
        plain = sum((len(row.prompt_ids) - 1) * len(row.samples) for row in rows.rows) + len(table.targets_N)
        return {
            "learner/optimizer_steps": float(num_steps),
            "learner/tokens": float(len(table.targets_N)),
            "learner/computed_tokens": float(len(rows.ids)),
            "learner/plain_tokens": float(plain),
        }

    def _tokens(self, table: TokenTable) -> dict[str, torch.Tensor]:
        device = self._engine.device
        return {
            "behaviour": torch.from_numpy(table.behaviour_N).to(device),
            "advantages": torch.from_numpy(table.advantages_N).to(device),
            "proposals": torch.from_numpy(table.proposals_S[table.samples_N].astype(np.float32)).to(device),
        }

    @torch.no_grad()
    def _old_logprobs(self, minibatches: Sequence[Minibatch], num_tokens: int) -> torch.Tensor:
        """old_N of this rank's share: the policy before the first of several optimizer steps."""
        old_N = torch.zeros(num_tokens, device=self._engine.device)
        for minibatch in minibatches:
            for item in (*minibatch.micro_batches, *minibatch.idle):
                inputs = to_device(item, self._engine.device)
                old_N[torch.from_numpy(item.tokens_N).to(old_N.device)] = self._engine.forward(**inputs)[0]
        return old_N

    def _step(self, minibatch: Minibatch, tokens: dict[str, torch.Tensor], values: torch.Tensor, lr: float) -> dict[str, float]:
        """Forward and backward over the micro-batches, then one optimizer step. Fills `values` for its tokens."""
        sums = torch.zeros(len(TERMS), device=self._engine.device)
        with torch.no_grad():
            for item in minibatch.idle:
                self._loss(item, minibatch.weights_N, tokens, values, sums)
        for number, item in enumerate(minibatch.micro_batches, start=1):
            loss = self._loss(item, minibatch.weights_N, tokens, values, sums)
            self._engine.backward(loss, last=number == len(minibatch.micro_batches))
        terms = dict(zip(TERMS, self._engine.total(sums).tolist(), strict=True))
        total = sum(terms.values())
        if not np.isfinite(total):
            raise FloatingPointError(f"loss must be finite, got {terms} in update {self._updates}; lower learner.lr and resume")
        grad_norm = self._engine.step(lr)
        if not np.isfinite(grad_norm):
            raise FloatingPointError(
                f"grad_norm must be finite, got {grad_norm} in update {self._updates}; lower learner.lr and resume"
            )
        return {f"loss/{name}": value for name, value in terms.items()} | {"loss/total": total, "grad_norm": grad_norm}

    def _loss(
        self,
        item: MicroBatch,
        weights_N: torch.Tensor,
        tokens: dict[str, torch.Tensor],
        values: torch.Tensor,
        sums: torch.Tensor,
    ) -> torch.Tensor:
        """The loss of one micro-batch; adds its terms to `sums` and writes its tokens' metrics into `values`."""
        section, device = self._config.loss, self._engine.device
        inputs = to_device(item, device)
        index_N = torch.from_numpy(item.tokens_N).to(device)
        proposals_N = tokens["proposals"][index_N]
        bonus = section.entropy_coef > 0 or (section.proposer_entropy_coef > 0 and bool(proposals_N.any()))
        new_N, entropies_N = self._engine.forward(**inputs, entropy_grad=bonus)
        seen = losses.Tokens(
            new_N=new_N,
            old_N=tokens["old"][index_N] if "old" in tokens else new_N.detach(),
            behaviour_N=tokens["behaviour"][index_N],
            advantages_N=tokens["advantages"][index_N],
            weights_N=weights_N[index_N] * float(item.counts),
            entropies_N=entropies_N,
            proposals_N=proposals_N,
            reference_N=self._reference_logprobs(inputs),
        )
        terms = losses.terms(section, seen)
        if item.counts:
            metrics = {"new": new_N.detach(), "old": seen.old_N}
            for term in terms.values():
                metrics |= term.metrics
            for name, value_N in metrics.items():
                values[COLUMNS.index(name), index_N] = value_N
        sums += torch.stack([terms[name].loss.detach() if name in terms else torch.zeros_like(sums[0]) for name in TERMS])
        return torch.stack([term.loss for term in terms.values()]).sum()

    @torch.no_grad()
    def _reference_logprobs(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor | None:
        if self._reference is None:
            return None
        reference_N: torch.Tensor = self._reference(**inputs)[0]
        return reference_N

    def _averages(self, values: torch.Tensor, table: TokenTable) -> dict[str, float]:
        """Means over the tokens of the whole batch, on every rank, and the mismatch of sampler and learner."""
        columns = dict(zip(COLUMNS, self._engine.total(values).cpu().numpy(), strict=True))
        scalars = losses.mismatch(columns["old"], table.behaviour_N)
        scalars |= {"mismatch/masked": float(columns["masked"].mean())}
        scalars |= {name: float(columns[name].mean()) for name in ("entropy", "clip_frac")}
        return scalars | ({"kl": float(columns["kl"].mean())} if self._reference is not None else {})


def _random_state() -> dict[str, torch.Tensor]:
    state = {"cpu": torch.get_rng_state()}
    return state | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def _restore_random_state(state: dict[str, torch.Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])
