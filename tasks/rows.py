"""Rows of data: a JSONL file, or a data set of the Hugging Face hub, as mappings that know where they stand.

Whatever cannot be read is a UserError of one line that names the place and the remedy. It does not know what the rows mean.
"""

import importlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from configs.errors import ConfigError, UserError
from configs.validation import one_line

HUB = "hf:"
TEST, TRAIN = "test", "train"  # the splits of a hub name that says none: what is evaluated on, what is trained on
_HUB_NAME = re.compile(r"hf:([\w.-]+/[\w.-]+)(?:/([\w.-]+))?(?::([\w.%+:\[\]-]+))?")


@dataclass(frozen=True, slots=True)
class Row:
    """One row and its place, such as "mine.jsonl line 3"."""

    place: str
    data: Mapping[str, object]

    def text(self, key: str) -> str:
        """Raises UserError where the row has no text under the key."""
        value = self.data.get(key)
        if not isinstance(value, str):
            raise UserError(f"{self.place} must have text under {key!r}, got {self._shown()}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Raises UserError where the row has no list of texts under the key."""
        value = self.data.get(key)
        if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(part, str) for part in value):
            raise UserError(f"{self.place} must have a list of texts under {key!r}, got {self._shown()}")
        return tuple(value)

    def first(self, keys: Sequence[str]) -> object:
        """The value of the first key that the row has; None where it has none of them."""
        return next((self.data[key] for key in keys if key in self.data), None)

    def _shown(self) -> str:
        return f"the keys {', '.join(map(str, self.data))}"[:80] if self.data else "nothing"


def is_hub(source: str) -> bool:
    return source.startswith(HUB)


def source_stem(source: str) -> str:
    """What a suite read from this source is called: the file's stem, or the data set's name without its owner."""
    found = _HUB_NAME.fullmatch(source)
    return found.group(1).split("/")[1] if found else Path(source).stem


def read_rows(source: str, split: str = TEST) -> list[Row]:
    """All rows of a JSONL file or of `hf:OWNER/NAME[/CONFIG][:SPLIT]`; `split` is the one of a name that says none."""
    rows = _read_hub(source, split) if is_hub(source) else _read_file(Path(source).expanduser())
    if not rows:
        raise UserError(f"data {source} must hold at least one line, got none")
    return rows


def _read_file(path: Path) -> list[Row]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise UserError(f"data {path} cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise UserError(f"data {path} must be JSONL in UTF-8, got other bytes; check the path") from error
    return [_parse(line, f"{path} line {number}") for number, line in enumerate(lines, start=1) if line.strip()]


def _parse(line: str, place: str) -> Row:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise UserError(f"{place} must be a JSON object, got {line.strip()[:80]!r}; write one object a line")
    return Row(place, data)


def _read_hub(source: str, default_split: str) -> list[Row]:
    found = _HUB_NAME.fullmatch(source)
    if found is None:
        raise ConfigError(f"a data set of the hub must be hf:OWNER/NAME[/CONFIG][:SPLIT], got {source}")
    name, config, split = found.groups()
    datasets = _hub_library(source)
    try:
        table = datasets.load_dataset(name, config, split=split or default_split)
        rows = [dict(row) for row in table]
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as failure:
        reason = one_line(str(failure))[:200] or type(failure).__name__
        raise UserError(
            f"{source} cannot be loaded ({reason}); check the name, the split and the network, or save its rows as JSONL and "
            "give the path"
        ) from failure
    return [Row(f"{source} row {number}", row) for number, row in enumerate(rows)]


def _hub_library(source: str) -> ModuleType:
    try:
        return importlib.import_module("datasets")
    except ImportError as failure:
        raise UserError(
            f"{source} needs the package datasets, which is not installed; `pip install datasets`, or save its rows as JSONL "
            "and give the path"
        ) from failure
