"""The warm start: a short supervised run that leaves the stand-in a weak calculator that knows the formats.

Plain torch on purpose: it is not part of the self-play system, it stands in for somebody else's pre-training. Only the
completions carry loss, prompts are context.
"""

import errno
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerBase

from configs.play_sections import StandInSection
from learner.stand_in import build_model, build_tokenizer, save

Example = tuple[str, str]  # prompt, completion
IGNORED = -100
HISTORY = "warm_start.jsonl"
CHUNK_ROWS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmStartStep:
    step: int
    loss: float
    lr: float


def warm_start(
    section: StandInSection,
    alphabet: str,
    words: tuple[str, ...],
    draw: Callable[[random.Random], Example],
    path: Path,
) -> Iterator[WarmStartStep]:
    """Trains on `section.warmup_steps` batches of examples that `draw` makes; at the end the model is at `path`.

    The folder appears by atomic rename, so an interrupted warm start leaves nothing that could be taken for a model.
    """
    torch.set_num_threads(1)  # one recipe, one model: sums over more threads round otherwise
    tokenizer = build_tokenizer(alphabet, words)
    model = build_model(section, len(tokenizer)).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=section.lr, betas=(0.9, 0.98), weight_decay=section.weight_decay, fused=True
    )
    rng = random.Random(section.seed)
    history: list[WarmStartStep] = []
    for step in range(1, section.warmup_steps + 1):
        lr = section.lr * min(1.0, step / 50) * (1 - 0.9 * step / section.warmup_steps)
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.zero_grad()
        loss = _accumulate(model, tokenizer, [draw(rng) for _ in range(section.batch_size)])
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        history.append(WarmStartStep(step=step, loss=loss, lr=lr))
        yield history[-1]
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")  # several runs may make the same one at once
    shutil.rmtree(partial, ignore_errors=True)
    save(model, tokenizer, partial)
    lines = (json.dumps(asdict(step)) + "\n" for step in history)
    (partial / HISTORY).write_text("".join(lines), encoding="utf-8")
    appear(partial, path)


def appear(partial: Path, path: Path) -> None:
    """Renames the finished folder into place; where another run was first, its (equal) one stays."""
    try:
        partial.rename(path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        shutil.rmtree(partial)


def recorded(path: Path) -> Iterator[WarmStartStep]:
    """The steps of a warm start that is finished; none when there is no model at `path`."""
    if (path / HISTORY).exists():
        for line in (path / HISTORY).read_text(encoding="utf-8").splitlines():
            yield WarmStartStep(**json.loads(line))


def _accumulate(model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase, examples: list[Example]) -> float:
    """Gradients of the loss per completion token, meaned per example: a long proposal weighs no more than a short answer.

    In chunks of similar length, so that little padding is computed.
    """
    rows = sorted(_tokenise(tokenizer, examples), key=lambda row: len(row[0]) + len(row[1]))
    total = 0.0
    for start in range(0, len(rows), CHUNK_ROWS):
        ids_BT, labels_BT = _pad(rows[start : start + CHUNK_ROWS], tokenizer.eos_token_id)
        logits_BTV = model(ids_BT).logits[:, :-1]
        losses_BT = cross_entropy(logits_BTV.transpose(1, 2), labels_BT[:, 1:], ignore_index=IGNORED, reduction="none")
        lengths_B = (labels_BT[:, 1:] != IGNORED).sum(1)
        loss = (losses_BT.sum(1) / lengths_B).sum() / len(rows)
        loss.backward()
        total += loss.item()
    return total


def _tokenise(tokenizer: PreTrainedTokenizerBase, examples: list[Example]) -> list[tuple[list[int], list[int]]]:
    prompts = tokenizer([prompt for prompt, _ in examples])["input_ids"]
    completions = tokenizer([completion for _, completion in examples])["input_ids"]
    return [(prompt, [*completion, tokenizer.eos_token_id]) for prompt, completion in zip(prompts, completions, strict=True)]


def _pad(rows: list[tuple[list[int], list[int]]], end: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-padded ids and labels, both int64 [B, T]; labels are IGNORED on prompts and padding."""
    longest = max(len(prompt) + len(completion) for prompt, completion in rows)
    ids_BT = torch.full((len(rows), longest), end, dtype=torch.long)
    labels_BT = torch.full((len(rows), longest), IGNORED, dtype=torch.long)
    for row, (prompt, completion) in enumerate(rows):
        length = len(prompt) + len(completion)
        ids_BT[row, :length] = torch.tensor(prompt + completion)
        labels_BT[row, len(prompt) : length] = torch.tensor(completion)
    return ids_BT, labels_BT
