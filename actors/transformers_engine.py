"""A transformers engine inside this process, behind Generator and StepEngine: parity checks, debugging, experiments.

It is small enough to read, and for tiny models on CPU faster than vLLM, whose cost there is that of each request. It has no
continuous batching: a chunk lasts until its longest completion ends. Does not: sample (actors.decoding).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoModelForCausalLM

from actors.decoding import Row, decode
from actors.prompts import PromptCodec, PromptFormat, make_rollout, warm_up_request
from configs.errors import UserError
from configs.system_sections import GeneratorsSection
from learner.weights import Publication, unpack, verify
from tasks.records import Request, Rollout

UNPUBLISHED = -1  # policy version of weights that came from disk


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
        rows = [Row.begun(request, ids) for request, ids in zip(requests, self._codec.encode(requests), strict=True)]
        with torch.inference_mode(), self._threads():
            for start in range(0, len(rows), self._config.max_num_seqs):
                decode(self._model, rows[start : start + self._config.max_num_seqs], self._codec.stop_ids)
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
