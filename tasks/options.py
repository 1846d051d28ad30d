"""Reads a family's options, as a configuration gives them, into the family's own frozen dataclass.

Every field of that dataclass has a default, whose type is the type that is asked for. The bounds of a value are checked
by the dataclass itself, in `__post_init__`.
"""

import difflib
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

OptionsType = TypeVar("OptionsType", bound="DataclassInstance")
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", tuple: "a list of texts"}


def read_options(kind: type[OptionsType], given: Mapping[str, object]) -> OptionsType:
    """The options of a family. ValueError naming the one that is unknown or of the wrong type."""
    defaults: dict[str, object] = {field.name: field.default for field in fields(kind)}
    read: dict[str, object] = {}
    for name, value in given.items():
        if name not in defaults:
            near = difflib.get_close_matches(name, defaults, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(defaults)}"
            raise ValueError(f"unknown option {name}; {hint}")
        read[name] = _read(name, value, type(defaults[name]))
    return kind(**read)


def require(holds: bool, name: str, rule: str, value: object) -> None:
    """ValueError in one line unless the rule holds."""
    if not holds:
        raise ValueError(f"{name} must be {rule}, got {value}")


def _read(name: str, value: object, wanted: type) -> object:
    if wanted is tuple and isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if type(value) is not wanted and not (wanted is float and type(value) is int):
        raise ValueError(f"{name} must be {_WORDS[wanted]}, got {value!r}")
    return value
