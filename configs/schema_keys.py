"""The schema's dotted keys: which exist, what type each has, and which is nearest to one that does not."""

import difflib
from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from configs.schema import RunConfig


def is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def section(field: FieldInfo) -> type[BaseModel]:
    model = field.annotation
    assert isinstance(model, type), "ask is_section first"
    assert issubclass(model, BaseModel), "ask is_section first"
    return model


def walk_fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every field under `model`, sections included, depth first in the order of declaration."""
    for name, field in model.model_fields.items():
        yield prefix + name, field
        if is_section(field):
            yield from walk_fields(section(field), f"{prefix}{name}.")


@cache
def known_keys() -> dict[str, FieldInfo]:
    return dict(walk_fields(RunConfig))


def annotation_at(key: str) -> Any:
    """The type of a dotted key; None when there is no such key."""
    field = known_keys().get(key)
    return field.annotation if field else None


def nearest_keys(key: str) -> list[str]:
    """Keys that the user may have meant, best first: a sibling, the same last name elsewhere, or a close spelling."""
    parent, _, last = key.rpartition(".")
    siblings = [name.rpartition(".")[2] for name in known_keys() if name.rpartition(".")[0] == parent]
    close = difflib.get_close_matches(last, siblings, n=1, cutoff=0.6)
    if close:
        return [f"{parent}.{close[0]}" if parent else close[0]]
    same_last = [name for name in known_keys() if name.rpartition(".")[2] == last]
    return same_last[:3] or difflib.get_close_matches(key, known_keys(), n=1, cutoff=0.6)


def nearest_value(value: object, allowed: tuple[object, ...]) -> str | None:
    words = [str(word) for word in allowed]
    close = difflib.get_close_matches(str(value), words, n=1, cutoff=0.6)
    return close[0] if close else None
