"""The plain torch loops that the learner is measured against: the same mathematics, written by hand as well as we know how.

Both build their tensors from the trajectories on every update (as the learner does), sort rows by length, bound padded
tokens per micro-batch, drop the last token of each completion from the inputs, compute logits on completion tokens only,
and use fused AdamW. `SharedPromptLoop` computes the prompt once for its attempts, `PlainLoop` once per attempt, with the
fast causal kernel and no mask at all. Neither computes metrics, has ranks, options or checks: that is what ours may cost.

Shape letters: B rows, T padded tokens, N completion tokens.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from configs.system_sections import LearnerSection
from learner import model_files
from tasks.records import Trajectory

LOWEST = torch.finfo(torch.float32).min


class TorchLoop(ABC):
    """Clipped surrogate with a truncated importance weight, token normaliser, gradient clipping, fused AdamW."""

    def __init__(self, model_path: str, section: LearnerSection) -> None:
        self._model = model_files.read(model_path, torch.float32).train()
        self._section = section
        self._optimizer = torch.optim.AdamW(
            self._model.parameters(),
            lr=section.lr,
            betas=(section.beta1, section.beta2),
            weight_decay=section.weight_decay,
            fused=True,
        )

    def update(self, batch: Sequence[Trajectory]) -> tuple[float, float]:
        """Loss and gradient norm of one update."""
        num_tokens = sum(len(item.rollout.completion_ids) for item in batch)
        self._optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for rows in self._micro_batches(batch):
            hidden_NH, chosen = self._hidden(rows)
            targets_N = torch.tensor([token for item in chosen for token in item.rollout.completion_ids])
            logprobs_N = self._model.lm_head(hidden_NH).log_softmax(-1).gather(-1, targets_N[:, None])[:, 0]
            loss = self._loss(logprobs_N, chosen) / num_tokens
            loss.backward()
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._section.grad_clip)
        self._optimizer.step()
        return total, float(norm)

    def _loss(self, logprobs_N: torch.Tensor, chosen: Sequence[Trajectory]) -> torch.Tensor:
        section = self._section.loss
        behaviour_N = torch.tensor([value for item in chosen for value in item.rollout.logprobs])
        lengths = torch.tensor([len(item.rollout.completion_ids) for item in chosen])
        advantages_N = torch.tensor([item.advantage for item in chosen]).repeat_interleave(lengths)
        old_N = logprobs_N.detach()
        ratio_N = (logprobs_N - old_N).exp()
        clipped_N = ratio_N.clamp(1 - section.clip_low, 1 + section.clip_high)
        correction_N = (old_N - behaviour_N).exp().clamp(max=section.importance_cap)
        return -(correction_N * torch.minimum(ratio_N * advantages_N, clipped_N * advantages_N)).sum()

    def _micro_batches(self, batch: Sequence[Trajectory]) -> Iterator[list[list[Trajectory]]]:
        rows = sorted(self._rows(batch), key=_length, reverse=True)
        while rows:
            fit = max(1, self._section.micro_batch_tokens // _length(rows[0]))
            yield rows[:fit]
            rows = rows[fit:]

    @abstractmethod
    def _rows(self, batch: Sequence[Trajectory]) -> list[list[Trajectory]]: ...

    @abstractmethod
    def _hidden(self, rows: list[list[Trajectory]]) -> tuple[torch.Tensor, list[Trajectory]]:
        """Hidden states that predict the completion tokens, in the order of the returned trajectories."""

    def _backbone(self, ids_BT: np.ndarray[Any, Any], **inputs: Any) -> torch.Tensor:
        hidden: torch.Tensor = self._model.model(
            input_ids=torch.from_numpy(ids_BT), use_cache=False, **inputs
        ).last_hidden_state
        return hidden.flatten(0, 1)


class PlainLoop(TorchLoop):
    """One row per attempt; right padding under a causal kernel needs no mask."""

    def _rows(self, batch: Sequence[Trajectory]) -> list[list[Trajectory]]:
        return [[item] for item in batch]

    def _hidden(self, rows: list[list[Trajectory]]) -> tuple[torch.Tensor, list[Trajectory]]:
        width = _length(rows[0])
        ids_BT = np.zeros((len(rows), width), np.int64)
        predictors = []
        for number, (item,) in enumerate(rows):
            ids = item.rollout.prompt_ids + item.rollout.completion_ids[:-1]
            ids_BT[number, : len(ids)] = ids
            predictors.append(number * width + np.arange(len(item.rollout.prompt_ids) - 1, len(ids)))
        hidden = self._backbone(ids_BT)
        return hidden[torch.from_numpy(np.concatenate(predictors))], [item for row in rows for item in row]


class SharedPromptLoop(TorchLoop):
    """One row per prompt: its tokens, then its completions, each of which sees the prompt and itself."""

    def _rows(self, batch: Sequence[Trajectory]) -> list[list[Trajectory]]:
        rows: dict[tuple[int, ...], list[Trajectory]] = {}
        for item in batch:
            rows.setdefault(item.rollout.prompt_ids, []).append(item)
        return list(rows.values())

    def _hidden(self, rows: list[list[Trajectory]]) -> tuple[torch.Tensor, list[Trajectory]]:
        width = _length(rows[0])
        ids_BT, positions_BT = np.zeros((2, len(rows), width), np.int64)
        segments_BT = np.full((len(rows), width), -1)  # 0 is the prompt, -1 padding
        predictors: list[np.ndarray[Any, Any]] = []
        for number, row in enumerate(rows):
            prompt = row[0].rollout.prompt_ids
            start = len(prompt)
            ids_BT[number, :start], positions_BT[number, :start], segments_BT[number, :start] = prompt, np.arange(start), 0
            for segment, item in enumerate(row, start=1):
                ids = item.rollout.completion_ids[:-1]
                stop = start + len(ids)
                ids_BT[number, start:stop], segments_BT[number, start:stop] = ids, segment
                positions_BT[number, start:stop] = np.arange(len(prompt), len(prompt) + len(ids))
                predictors += [np.array([number * width + len(prompt) - 1]), np.arange(start, stop) + number * width]
                start = stop
        segments = torch.from_numpy(segments_BT)
        seen = (segments[:, None] == 0) | (segments[:, :, None] == segments[:, None])
        causal = torch.ones(width, width, dtype=torch.bool).tril()
        mask = torch.zeros(seen.shape).masked_fill_(~(seen & causal), LOWEST)[:, None]
        hidden = self._backbone(ids_BT, attention_mask=mask, position_ids=torch.from_numpy(positions_BT))
        return hidden[torch.from_numpy(np.concatenate(predictors))], [item for row in rows for item in row]


def _length(row: Sequence[Trajectory]) -> int:
    return len(row[0].rollout.prompt_ids) + sum(len(item.rollout.completion_ids) - 1 for item in row)
