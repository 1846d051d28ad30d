"""What a row of prompt and answer may be, and which rows are held out.

Owns the names of the fields and the split. Invariant: prompts that differ only in case and spacing are on the same side of
the split, whatever else the data holds. Whatever cannot be used is a ValueError of one line that names the data and the row.
Does not: read files or the hub (tasks.rows).
"""

import hashlib
import re
from dataclasses import dataclass

from configs.errors import UserError
from tasks import rows

PROMPT_KEYS, ANSWER_KEYS = ("prompt", "question", "context"), ("answer", "completion")
_SPAN = 1 << 64
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")  # JSON can write it, UTF-8 cannot


@dataclass(frozen=True, slots=True)
class Row:
    prompt: str
    answer: str  # stripped, never empty


def read_pairs(source: str) -> tuple[Row, ...]:
    """The rows of a JSONL file or of `hf:OWNER/NAME[/CONFIG][:SPLIT]`, in order.

    One that comes again is left out, and one that contradicts an earlier one is an error.
    """
    try:
        found = rows.read_rows(source, rows.TRAIN)
    except UserError as error:
        raise ValueError(f"path: {error}") from error
    answers: dict[str, str] = {}
    for each in found:
        row = _parse(each)
        if answers.setdefault(row.prompt, row.answer) != row.answer:
            raise ValueError(
                f"path: {each.place} must have the answer of the earlier row with its prompt "
                f"({answers[row.prompt][:40]!r}), got {row.answer[:40]!r}; leave one of them out"
            )
    return tuple(Row(prompt, answer) for prompt, answer in answers.items())


def is_heldout(prompt: str, share: float) -> bool:
    """By a hash of the prompt alone."""
    normal = " ".join(prompt.split()).casefold()
    drawn = int.from_bytes(hashlib.blake2b(normal.encode(), digest_size=8).digest(), "big")
    return drawn < share * _SPAN


def _parse(row: rows.Row) -> Row:
    prompt, answer = row.first(PROMPT_KEYS), row.first(ANSWER_KEYS)
    if _HALF_CHARACTER.search(f"{prompt}{answer}"):
        raise ValueError(f"path: {row.place} must hold whole characters, got half a surrogate pair; mend or leave it out")
    if not isinstance(prompt, str) or not prompt.strip():
        raise ValueError(f"path: {row.place} must have text under one of {', '.join(PROMPT_KEYS)}, got {_shown(row)}")
    if not isinstance(answer, str | int | float) or isinstance(answer, bool) or not str(answer).strip():
        wanted = f"text or a number under one of {', '.join(ANSWER_KEYS)}"
        raise ValueError(f"path: {row.place} must have {wanted}, got {_shown(row)}")
    return Row(prompt, str(answer).strip())


def _shown(row: rows.Row) -> str:
    return repr(dict(row.data))[:60]
