"""Reads a JSONL file of prompt and answer into rows, and says which of them are held out.

Owns what a line may be, and the split. Invariant: prompts that differ only in case and spacing are on the same side of the
split, whatever else the file holds. Whatever cannot be read is a ValueError of one line that names the file and line.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

PROMPT_KEYS, ANSWER_KEYS = ("prompt", "question", "context"), ("answer", "completion")
_SPAN = 1 << 64
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")  # JSON can write it, UTF-8 cannot


@dataclass(frozen=True, slots=True)
class Row:
    prompt: str
    answer: str  # stripped, never empty


def read_rows(path: Path) -> tuple[Row, ...]:
    """The rows in order; one that comes again is left out, and one that contradicts an earlier one is an error."""
    answers: dict[str, str] = {}
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        row = _parse(line, f"{path} line {number}")
        if answers.setdefault(row.prompt, row.answer) != row.answer:
            raise ValueError(
                f"path: {path} line {number} must have the answer of the earlier line with its prompt "
                f"({answers[row.prompt][:40]!r}), got {row.answer[:40]!r}; leave one of them out"
            )
    if not answers:
        raise ValueError(f"path must be a file that holds at least one line, got {path}")
    return tuple(Row(prompt, answer) for prompt, answer in answers.items())


def is_heldout(prompt: str, share: float) -> bool:
    """By a hash of the prompt alone."""
    normal = " ".join(prompt.split()).casefold()
    drawn = int.from_bytes(hashlib.blake2b(normal.encode(), digest_size=8).digest(), "big")
    return drawn < share * _SPAN


def _read_text(path: Path) -> str:
    try:
        return path.expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"path must be a readable JSONL file, got {path} ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"path must be a JSONL file in UTF-8, got other bytes in {path}") from error


def _parse(line: str, place: str) -> Row:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise ValueError(f"path: {place} must be a JSON object, got {line.strip()[:60]!r}; write one object a line")
    prompt = next((data[key] for key in PROMPT_KEYS if key in data), None)
    answer = next((data[key] for key in ANSWER_KEYS if key in data), None)
    if _HALF_CHARACTER.search(f"{prompt}{answer}"):
        raise ValueError(f"path: {place} must hold whole characters, got half a surrogate pair; mend or leave it out")
    if not isinstance(prompt, str) or not prompt.strip():
        raise ValueError(f"path: {place} must have text under one of {', '.join(PROMPT_KEYS)}, got {line.strip()[:60]!r}")
    if not isinstance(answer, str | int | float) or isinstance(answer, bool) or not str(answer).strip():
        wanted = f"text or a number under one of {', '.join(ANSWER_KEYS)}"
        raise ValueError(f"path: {place} must have {wanted}, got {line.strip()[:60]!r}")
    return Row(prompt, str(answer).strip())
