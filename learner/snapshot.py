"""One rank's share of a checkpoint in host memory: taken between two updates, written while the next ones run.

Invariant: it shares no memory with the weights or the optimizer, and writing it needs no other rank. Does not: know
DeepSpeed, or when a checkpoint is due.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from configs.disk import writing


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Implements `selfplay.protocols.Snapshot`."""

    folder: Path
    states: Mapping[Path, Any]  # what torch saves, by file
    texts: Mapping[Path, str]
    write_model: Callable[[], None] | None  # rank 0's

    def write(self) -> None:
        with writing(f"checkpoint {self.folder}", self.folder):
            if self.write_model is not None:
                self.write_model()
            for path, state in self.states.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                torch.save(state, path)
            for path, text in self.texts.items():
                path.write_text(text, encoding="utf-8")


def copied(item: Any) -> Any:
    """The same containers with every tensor copied to host memory."""
    if isinstance(item, torch.Tensor):
        return item.detach().to("cpu", copy=True)
    if isinstance(item, dict):
        return {key: copied(value) for key, value in item.items()}
    if isinstance(item, (list, tuple)):
        return type(item)(copied(value) for value in item)
    return item
