"""Batched decoding with a transformers model: one chunk of requests from their prompts to their last tokens.

Each request draws from a random stream of its own, by inverting the cumulative distribution: what it draws does not depend on
which others are in the chunk. Logprobs are of softmax(logits / T), the same definition as the vLLM engine's. A prompt that
several requests share goes through the model once; rows that have finished leave once they are a quarter of the chunk.

Shape letters: B rows of a chunk, P different prompts, T prompt (left-padded) plus what was generated, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from tasks.records import Request


@dataclass(slots=True)
class Row:
    """One request while it is decoded; `uniforms`: a number in [0, 1) for each token that it may have."""

    request: Request
    prompt_ids: tuple[int, ...]
    uniforms: list[float]
    completion_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: str = ""

    @classmethod
    def begun(cls, request: Request, prompt_ids: tuple[int, ...]) -> "Row":
        stream = torch.Generator().manual_seed(request.seed)
        uniforms = torch.rand(request.max_tokens, generator=stream, dtype=torch.float64)
        return cls(request=request, prompt_ids=prompt_ids, uniforms=uniforms.tolist())

    @property
    def uniform(self) -> float:
        """For the token that is next; any once there is none."""
        return self.uniforms[min(len(self.completion_ids), len(self.uniforms) - 1)]

    def take(self, token_id: int, logprob: float, stop_ids: frozenset[int]) -> None:
        """Nothing more is taken after the end."""
        if self.finish_reason:
            return
        self.completion_ids.append(token_id)
        self.logprobs.append(logprob)
        if token_id in stop_ids:
            self.finish_reason = "stop"
        elif len(self.completion_ids) == self.request.max_tokens:
            self.finish_reason = "length"


def decode(model: Any, rows: Sequence[Row], stop_ids: frozenset[int]) -> None:
    """Completes every row. Prefills the prompts, then takes one token per row and pass."""
    logits_BV, mask_BT, cache = _prefilled(model, rows, min(stop_ids))
    positions_B = mask_BT.sum(1)
    while True:
        temperature_B = torch.tensor([row.request.temperature for row in rows], device=logits_BV.device)
        uniform_B = torch.tensor([row.uniform for row in rows], dtype=torch.float64, device=logits_BV.device)
        token_B, logprob_B = drawn(logits_BV, temperature_B, uniform_B)
        for row, token_id, logprob in zip(rows, token_B.tolist(), logprob_B.tolist(), strict=True):
            row.take(token_id, logprob, stop_ids)
        running = [index for index, row in enumerate(rows) if not row.finish_reason]
        if not running:
            return
        if 4 * len(running) <= 3 * len(rows):
            keep = torch.tensor(running, device=token_B.device)
            rows, token_B, mask_BT, positions_B = [rows[i] for i in running], token_B[keep], mask_BT[keep], positions_B[keep]
            cache.batch_select_indices(keep)
        mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(rows), 1)], dim=1)
        out = model(
            input_ids=token_B[:, None], attention_mask=mask_BT, position_ids=positions_B[:, None], past_key_values=cache,
            use_cache=True,
        )  # fmt: skip
        logits_BV, positions_B = out.logits[:, -1].float(), positions_B + 1


def drawn(logits_BV: torch.Tensor, temperature_B: torch.Tensor, uniform_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """token_B (int64) and its logprob_B (float32): argmax at temperature 0, else a draw from softmax(logits / T).

    The draw is the first token whose cumulative probability exceeds uniform_B (float64 in [0, 1)).
    """
    samples_B = temperature_B > 0
    logprobs_BV = (logits_BV / torch.where(samples_B, temperature_B, 1.0)[:, None]).log_softmax(-1)
    cumulative_BV = logprobs_BV.double().exp().cumsum(-1)
    threshold_B1 = uniform_B[:, None] * cumulative_BV[:, -1:]
    drawn_B = torch.searchsorted(cumulative_BV, threshold_B1, right=True)[:, 0].clamp(max=logits_BV.shape[1] - 1)
    token_B = torch.where(samples_B, drawn_B, logits_BV.argmax(-1))
    return token_B, logprobs_BV.gather(1, token_B[:, None])[:, 0]


def _prefilled(model: Any, rows: Sequence[Row], pad_id: int) -> tuple[torch.Tensor, torch.Tensor, Any]:
    """logits_BV after each row's prompt, its mask_BT, and the cache of keys and values."""
    places = {ids: place for place, ids in enumerate(dict.fromkeys(row.prompt_ids for row in rows))}
    width = max(map(len, places))
    device = model.device
    ids_PT = torch.tensor([[pad_id] * (width - len(ids)) + list(ids) for ids in places], device=device)
    mask_PT = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in places], device=device)
    positions_PT = (mask_PT.cumsum(1) - 1).clamp(min=0)
    out = model(input_ids=ids_PT, attention_mask=mask_PT, position_ids=positions_PT, use_cache=True, logits_to_keep=1)
    place_B = torch.tensor([places[row.prompt_ids] for row in rows], device=device)
    out.past_key_values.batch_select_indices(place_B)
    return out.logits[place_B, -1].float(), mask_PT[place_B], out.past_key_values
