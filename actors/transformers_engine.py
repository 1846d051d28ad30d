"""A transformers engine inside this process, behind Generator and StepEngine: parity checks and debugging.

Sampling is our own, so that each request has its own torch.Generator and its logprobs are of softmax(logits / T), the
same definition as the vLLM engine's. It has no continuous batching: a chunk lasts until its longest completion ends.

Shape letters: B rows of a chunk, P prompt length (left-padded), T prompt plus what was generated, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoModelForCausalLM

from actors.prompts import PromptCodec, PromptFormat, make_rollout, warm_up_request
from configs.errors import UserError
from configs.system_sections import GeneratorsSection
from learner.weights import Publication, unpack, verify
from tasks.records import Request, Rollout

UNPUBLISHED = -1  # policy version of weights that came from disk


@dataclass(slots=True)
class Row:
    """One request while it is decoded."""

    request: Request
    prompt_ids: tuple[int, ...]
    generator: torch.Generator
    completion_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: str = ""

    def take(self, token_id: int, logprob: float, stop_ids: frozenset[int]) -> None:
        self.completion_ids.append(token_id)
        self.logprobs.append(logprob)
        if token_id in stop_ids:
            self.finish_reason = "stop"
        elif len(self.completion_ids) == self.request.max_tokens:
            self.finish_reason = "length"


class TransformersEngine:
    """Implements `selfplay.protocols.Generator`; also offers `version`, `fingerprint` and `close`."""

    def __init__(
        self,
        model_path: str | Path,
        config: GeneratorsSection,
        *,
        dtype: Literal["float32", "bfloat16"] = "float32",
        prompt_format: PromptFormat = "auto",
        sampler_id: str = "transformers-0",
    ) -> None:
        self._config = config
        self._sampler_id = sampler_id
        self._codec = PromptCodec(str(model_path), prompt_format, config.max_model_len)
        self._device = torch.device("cuda" if config.device == "gpu" else "cpu")
        try:
            model: Any = AutoModelForCausalLM.from_pretrained(str(model_path), dtype=getattr(torch, dtype))
        except (OSError, ValueError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"model.name_or_path: {model_path} cannot be loaded: {reason}") from error
        self._model: Any = model.to(self._device).eval()
        self.version = UNPUBLISHED
        self.fingerprint = f"disk:{model_path}"
        self._broken = ""  # why nothing is served; empty: all is well
        self._asked: dict[int, Request] = {}  # added and not done
        self.generate([warm_up_request(self._codec, 0)])

    def generate(self, requests: Sequence[Request]) -> list[Rollout]:
        """One rollout per request, in order. Raises RuntimeError when a load failed since (nothing stale is served)."""
        if self._broken:
            raise RuntimeError(f"{self._sampler_id} serves no weights: {self._broken}")
        rows = [
            Row(request=request, prompt_ids=ids, generator=torch.Generator().manual_seed(request.seed))
            for request, ids in zip(requests, self._codec.encode(requests), strict=True)
        ]
        with torch.inference_mode(), self._threads():
            for start in range(0, len(rows), self._config.max_num_seqs):
                self._decode(rows[start : start + self._config.max_num_seqs])
        texts = self._codec.decode([row.completion_ids for row in rows])
        return [
            make_rollout(
                row.request,
                prompt_ids=row.prompt_ids,
                completion_ids=tuple(row.completion_ids),
                logprobs=tuple(row.logprobs),
                text=text,
                finish_reason=row.finish_reason,
                version=self.version,
                fingerprint=self.fingerprint,
                sampler_id=self._sampler_id,
            )
            for row, text in zip(rows, texts, strict=True)
        ]

    @property
    def num_running(self) -> int:
        return len(self._asked)

    def add(self, key: int, request: Request) -> None:
        """Waits for the next step, which may begin with other weights."""
        self._codec.encode([request])  # raises for a prompt that does not fit
        self._asked[key] = request

    def step(self) -> list[tuple[int, Rollout]]:
        """A whole chunk from its first token to its last: nothing joins a chunk and no weights come within one."""
        chunk = list(self._asked.items())[: self._config.max_num_seqs]
        for key, _ in chunk:
            del self._asked[key]
        return list(zip([key for key, _ in chunk], self.generate([request for _, request in chunk]), strict=True))

    def load(self, publication: Publication) -> None:
        """Checks the bytes and the names, copies the tensors into the model, then serves the version."""
        manifest = publication.manifest
        self._broken = f"loading version {manifest.version} did not finish"
        verify(manifest, publication.buckets, self._sampler_id)
        parameters = dict(self._model.named_parameters())
        published = {spec.name: spec for spec in manifest.tensors}
        tied = set() if "lm_head.weight" in parameters else {"lm_head.weight"}
        odd = sorted((set(published) - tied) ^ set(parameters)) or [
            name for name, spec in published.items() if name in parameters and spec.shape != tuple(parameters[name].shape)
        ]
        if odd:
            raise RuntimeError(f"weights do not fit the model: {len(odd)} names or shapes differ, such as {odd[:3]}")
        with torch.no_grad():
            for name, tensor in unpack(manifest, publication.buckets):
                if name in parameters:
                    parameters[name].copy_(tensor)
        self.version, self.fingerprint, self._broken = manifest.version, manifest.fingerprint, ""

    def close(self) -> None:
        """Releases the model; the engine refuses to generate afterwards."""
        self._broken = "it was closed"
        self._model = None

    def _decode(self, rows: Sequence[Row]) -> None:
        """Prefills a left-padded chunk, then one token per row and pass until every row has finished."""
        ids_BT, mask_BT = _left_pad([row.prompt_ids for row in rows], min(self._codec.stop_ids), self._device)
        positions_BT = (mask_BT.cumsum(1) - 1).clamp(min=0)
        cache = None
        while True:
            out = self._model(
                input_ids=ids_BT, attention_mask=mask_BT, position_ids=positions_BT, past_key_values=cache, use_cache=True,
                logits_to_keep=1,
            )  # fmt: skip
            cache = out.past_key_values
            token_ids = self._sample(out.logits[:, -1].float().cpu(), rows)
            if all(row.finish_reason for row in rows):
                return
            ids_BT = torch.tensor(token_ids, device=self._device).unsqueeze(1)
            mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(rows), 1)], dim=1)
            positions_BT = positions_BT[:, -1:] + 1

    def _sample(self, logits_BV: torch.Tensor, rows: Sequence[Row]) -> list[int]:
        """Next token per row: argmax at temperature 0, else a draw from softmax(logits / T); finished rows repeat theirs."""
        token_ids = []
        for logits_V, row in zip(logits_BV, rows, strict=True):
            if row.finish_reason:
                token_ids.append(row.completion_ids[-1])
                continue
            temperature = row.request.temperature
            logprobs_V = (logits_V / temperature if temperature > 0 else logits_V).log_softmax(-1)
            if temperature > 0:
                token_id = int(torch.multinomial(logprobs_V.exp(), 1, generator=row.generator))
            else:
                token_id = int(logits_V.argmax())
            row.take(token_id, float(logprobs_V[token_id]), self._codec.stop_ids)
            token_ids.append(token_id)
        return token_ids

    @contextmanager
    def _threads(self) -> Iterator[None]:
        """The configured thread count while this engine works; other users of this process get theirs back."""
        before = torch.get_num_threads()
        if self._config.device == "cpu":
            torch.set_num_threads(self._config.threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _left_pad(prompts: Sequence[tuple[int, ...]], pad_id: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """int64 ids and mask, both [B, P], padding on the left."""
    width = max(len(ids) for ids in prompts)
    ids_BP = torch.tensor([[pad_id] * (width - len(ids)) + list(ids) for ids in prompts], device=device)
    mask_BP = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts], device=device)
    return ids_BP, mask_BP
