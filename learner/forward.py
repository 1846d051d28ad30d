"""The policy's word on a micro-batch: logprob and entropy of each completion token, from any Hugging Face causal model.

Owns the attention mask of packed rows and the selective log-softmax. Invariant: equal, up to rounding, to the plain
forward pass over each prompt and completion alone. Does not: pack, weigh tokens, know losses.

The trained policy is softmax(logits / temperature) with each rollout's own temperature, as it was sampled.
Shape letters as in learner.packing, and V vocabulary, H hidden.
"""

from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from learner.packing import MicroBatch

# Logits are made for at most so many elements at a time (1 GiB in float32); more are recomputed piece by piece in the
# backward pass. A vocabulary of 150 k entries would otherwise cost more memory than the model.
LOGITS_ELEMENTS = 2**28


class Policy(nn.Module):
    """A causal model seen as a scorer of packed rows."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        if getattr(model.config, "logit_scale", None) not in (None, 1.0):
            raise ValueError(f"logit_scale must be absent, got {model.config.logit_scale}; this architecture is not supported")
        self._softcap: float | None = getattr(model.config, "final_logit_softcapping", None)
        self._window: int | None = sliding_window(model.config)

    def forward(
        self,
        input_ids_BT: torch.Tensor,
        position_ids_BT: torch.Tensor,
        ends_BT: torch.Tensor,
        predictors_U: torch.Tensor,
        temperatures_U: torch.Tensor,
        slots_N: torch.Tensor,
        targets_N: torch.Tensor,
        entropy_grad: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """logprobs_N and entropies_N in float32, of the completion tokens of the micro-batch."""
        base = self.model.base_model
        mask = additive_mask(ends_BT, next(base.parameters()).dtype)
        hidden_BTH = base(
            input_ids=input_ids_BT, attention_mask=mask, position_ids=position_ids_BT, use_cache=False
        ).last_hidden_state
        hidden_UH = hidden_BTH.flatten(0, 1).index_select(0, predictors_U)
        size = max(1, LOGITS_ELEMENTS // int(self.model.config.vocab_size))
        if len(hidden_UH) <= size:
            return self._score(hidden_UH, temperatures_U, slots_N, targets_N, entropy_grad)
        logprobs, entropies = [], []
        for start in range(0, len(hidden_UH), size):
            edges = torch.tensor([start, start + size], device=slots_N.device)
            low, high = torch.searchsorted(slots_N, edges).tolist()
            piece = checkpoint(
                self._score,
                hidden_UH[start : start + size],
                temperatures_U[start : start + size],
                slots_N[low:high] - start,
                targets_N[low:high],
                entropy_grad,
                use_reentrant=False,
            )
            logprobs.append(piece[0])
            entropies.append(piece[1])
        return torch.cat(logprobs), torch.cat(entropies)

    def _score(
        self,
        hidden_UH: torch.Tensor,
        temperatures_U: torch.Tensor,
        slots_N: torch.Tensor,
        targets_N: torch.Tensor,
        entropy_grad: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        logits_UV = self.model.get_output_embeddings()(hidden_UH).float()
        if self._softcap is not None:
            logits_UV = torch.tanh(logits_UV / self._softcap) * self._softcap
        logits_UV = logits_UV / temperatures_U[:, None]
        logprobs_UV = logits_UV.log_softmax(-1)
        logprobs_N = logprobs_UV.flatten().index_select(0, slots_N * logprobs_UV.size(1) + targets_N)
        with torch.set_grad_enabled(entropy_grad and torch.is_grad_enabled()):
            entropies_U = -(logprobs_UV.exp() * logprobs_UV).sum(-1)
            entropies_N = entropies_U.index_select(0, slots_N)
        return logprobs_N, entropies_N

    def check_lengths(self, longest_position: int) -> None:
        """Refuses rows on which a sliding window would bite: the packed mask does not know it."""
        if self._window is not None and longest_position >= self._window:
            raise ValueError(
                f"sliding_window must exceed prompt and completion, got {self._window} for {longest_position + 1} tokens; "
                "shorten max_tokens or use a model with full attention"
            )


def additive_mask(ends_BT: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """[B, 1, T, T]: 0 where query q sees key k (k <= q < end_k), the dtype's lowest elsewhere; the same for every layer."""
    offsets_T = torch.arange(ends_BT.size(1), device=ends_BT.device)
    seen_BTT = (offsets_T[:, None] >= offsets_T) & (offsets_T[:, None] < ends_BT[:, None, :])
    mask = torch.zeros(seen_BTT.shape, dtype=dtype, device=ends_BT.device)
    return mask.masked_fill_(~seen_BTT, torch.finfo(dtype).min)[:, None]


def to_device(batch: MicroBatch, device: torch.device) -> dict[str, torch.Tensor]:
    """The keyword arguments of `Policy.forward`."""
    names = ("input_ids_BT", "position_ids_BT", "ends_BT", "predictors_U", "temperatures_U", "slots_N", "targets_N")
    return {name: torch.from_numpy(getattr(batch, name)).to(device, non_blocking=True) for name in names}


def sliding_window(config: Any) -> int | None:
    """The window of a model that has sliding layers, else None."""
    layers = getattr(config, "layer_types", None) or ()
    sliding = any(kind == "sliding_attention" for kind in layers)
    return int(config.sliding_window) if sliding and config.sliding_window else None
