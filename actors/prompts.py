"""Text ↔ token ids for every generator engine: prompt format, tokenisation, length check, stop tokens, rollouts.

Invariant: what the engine samples from is exactly what the request said. A tokenizer that loses characters, a prompt that
does not fit, or a missing end-of-sequence token is an error with a remedy, never a silently different prompt.
It does not sample and knows neither vLLM nor torch.
"""

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from transformers import AutoTokenizer, GenerationConfig

from configs.errors import UserError
from tasks.records import Kind, Request, Role, Rollout

KNOWN_PROMPTS = 4096
PromptFormat = Literal["auto", "chat", "plain"]
# How byte-level and sentencepiece vocabularies write the two characters that every prompt has.
WRITTEN_AS = {"Ġ": " ", "Ċ": "\n", "▁": " "}


class PromptCodec:
    """Encodes the prompts of requests and decodes completions with one model's tokenizer."""

    def __init__(self, model_path: str, prompt_format: PromptFormat, max_model_len: int) -> None:
        self._model_path = model_path
        self._max_model_len = max_model_len
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(model_path)
        except (OSError, ValueError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"model.name_or_path: no tokenizer can be loaded from {model_path}: {reason}") from error
        has_template = bool(getattr(self.tokenizer, "chat_template", None))
        if prompt_format == "chat" and not has_template:
            raise UserError(
                f"model.prompt_format is chat, but the tokenizer of {model_path} has no chat template; use plain or auto"
            )
        self.chat = prompt_format == "chat" or (prompt_format == "auto" and has_template)
        self.stop_ids = stop_ids(model_path, self.tokenizer)
        self._known = lru_cache(maxsize=KNOWN_PROMPTS)(self._encode_prompt)
        self.probe = probe_text(self.tokenizer)
        assert_lossless(self.tokenizer, self.probe, model_path)

    def encode(self, requests: Sequence[Request]) -> list[tuple[int, ...]]:
        """Prompt ids per request; a prompt that comes again soon, as those of a task's attempts do, is tokenised once."""
        encoded = []
        for request in requests:
            ids = self._known(request.prompt)
            if len(ids) + request.max_tokens > self._max_model_len:
                raise UserError(
                    f"prompt of {request.attempt_id} has {len(ids)} tokens and may get {request.max_tokens} more, "
                    f"which exceeds generators.max_model_len={self._max_model_len}; "
                    f"raise it to at least {len(ids) + request.max_tokens}"
                )
            encoded.append(ids)
        return encoded

    def decode(self, completions: Sequence[Sequence[int]]) -> list[str]:
        """Texts without special tokens."""
        if not completions:
            return []
        texts: list[str] = self.tokenizer.batch_decode(
            [list(ids) for ids in completions], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return texts

    def _encode_prompt(self, prompt: str) -> tuple[int, ...]:
        if not self.chat:
            assert_lossless(self.tokenizer, prompt, self._model_path)
            return tuple(self.tokenizer.encode(prompt))
        messages = [{"role": "user", "content": prompt}]
        text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return tuple(self.tokenizer.encode(text, add_special_tokens=False))


def stop_ids(model_path: str, tokenizer: Any) -> frozenset[int]:
    """End-of-sequence tokens: the tokenizer's and those of the model's generation config (chat models have several)."""
    found = set() if tokenizer.eos_token_id is None else {int(tokenizer.eos_token_id)}
    if (Path(model_path) / "generation_config.json").exists() or not Path(model_path).exists():
        try:
            eos = GenerationConfig.from_pretrained(model_path).eos_token_id
        except OSError:  # a model on the hub need not have one
            eos = None
        found.update(() if eos is None else [eos] if isinstance(eos, int) else eos)
    if not found:
        raise UserError(f"the tokenizer of {model_path} has no eos token, so no completion could end; set eos_token in it")
    return frozenset(found)


def probe_text(tokenizer: Any) -> str:
    """A text of the printable ASCII characters that the vocabulary itself can write, with space and newline between them."""
    special = set(tokenizer.all_special_tokens)
    written = {char for token in tokenizer.get_vocab() if token not in special for char in token}
    chars = written | {plain for coded, plain in WRITTEN_AS.items() if coded in written}
    visible = sorted(char for char in chars if char.isascii() and char.isprintable() and char != " ")
    separators = [char for char in (" ", "\n") if char in chars] or [""]
    return "".join(char + separators[i % len(separators)] + char for i, char in enumerate(visible))


def assert_lossless(tokenizer: Any, text: str, model_path: str) -> None:
    """Raises UserError when encode → decode loses characters (a known trap: a character tokenizer read as byte-level)."""
    ids = tokenizer.encode(text, add_special_tokens=False)
    back = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    if unicodedata.normalize("NFC", back) != unicodedata.normalize("NFC", text):
        lost = sorted({char for char in text if text.count(char) > back.count(char)})
        raise UserError(
            f"tokenizer {type(tokenizer).__name__} of {model_path} is lossy: it changes {text[:60]!r} into {back[:60]!r} "
            f"(lost: {''.join(lost)[:40]!r}); use one that covers the prompts and that AutoTokenizer restores as it was saved"
        )


def warm_up_request(codec: PromptCodec, seed: int) -> Request:
    """A short request from the tokenizer's own characters; its rollout is thrown away."""
    return Request(
        task_id="warm-up",
        attempt=seed,
        step=0,
        kind=Kind.DEDUCTION,
        role=Role.SOLVE,
        prompt=codec.probe[:6],
        seed=seed,
        temperature=1.0,
        max_tokens=4,
    )


def make_rollout(
    request: Request,
    *,
    prompt_ids: tuple[int, ...],
    completion_ids: tuple[int, ...],
    logprobs: tuple[float, ...],
    text: str,
    finish_reason: str,
    version: int,
    fingerprint: str,
    sampler_id: str,
) -> Rollout:
    """The record of one completion, with what was asked for and who made it with which weights."""
    if len(completion_ids) != len(logprobs) or finish_reason not in ("stop", "length"):
        raise RuntimeError(
            f"{sampler_id} returned {len(completion_ids)} tokens, {len(logprobs)} logprobs and "
            f"finish reason {finish_reason!r} for {request.attempt_id}"
        )
    return Rollout(
        task_id=request.task_id,
        attempt=request.attempt,
        step=request.step,
        kind=request.kind,
        role=request.role,
        prompt_ids=prompt_ids,
        completion_ids=completion_ids,
        logprobs=logprobs,
        temperature=request.temperature,
        text=text,
        finish_reason=finish_reason,
        policy_version=version,
        weight_fingerprint=fingerprint,
        sampler_id=sampler_id,
        seed=request.seed,
    )
