"""Turns pydantic's report on a configuration into the one line that a user reads.

The first error is shown with its key, value and rule; the others are counted. An unknown key comes before a bad value,
since it often explains it.
"""

from collections.abc import Mapping
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from configs.errors import ConfigError
from configs.schema_keys import annotation_at, nearest_keys, nearest_value

_RULES = {
    "int_parsing": "be a whole number",
    "int_type": "be a whole number",
    "int_from_float": "be a whole number",
    "float_parsing": "be a number",
    "float_type": "be a number",
    "finite_number": "be a finite number",
    "bool_parsing": "be true or false",
    "bool_type": "be true or false",
    "string_type": "be text (quote it)",
    "dict_type": "be a mapping of keys to values",
    "tuple_type": "be a list",
    "list_type": "be a list",
    "too_short": "not be empty",
    "string_pattern_mismatch": "be a plain name of letters, digits, '.', '_' and '-'",
}
_LONGEST_VALUE = 60


def one_line(text: str) -> str:
    return " ".join(text.split())


def describe_failure(failure: ValidationError, tree: Mapping[str, object], source: str, overrides: Mapping[str, str]) -> str:
    """`source: key must RULE, got VALUE`; `overrides` (dotted key to text) says which keys came from the command line."""
    grouped: dict[str, list[ErrorDetails]] = {}
    for error in failure.errors(include_url=False):
        grouped.setdefault(_key(error["loc"], tree), []).append(error)
    leaves = {key: errors for key, errors in grouped.items() if not any(other.startswith(f"{key}.") for other in grouped)}
    key, errors = min(leaves.items(), key=lambda item: item[1][0]["type"] != "extra_forbidden")
    told = _override_behind(key, overrides)
    where = f"override {_shown(told)}" if told else source
    more = f" (and {len(leaves) - 1} more)" if len(leaves) > 1 else ""
    return one_line(f"{where}: {_sentence(key, errors)}{more}")


def refuse_truth_for_number(config: BaseModel, tree: Mapping[str, object], prefix: str = "") -> None:
    """Raises ConfigError where `true` stands for a number: pydantic would read it as 1."""
    for key, given in tree.items():
        value = getattr(config, key)
        if isinstance(value, BaseModel) and isinstance(given, Mapping):
            refuse_truth_for_number(value, given, f"{prefix}{key}.")
        elif isinstance(given, bool) and not isinstance(value, bool):
            raise ConfigError(f"{prefix}{key} must be a number, got {str(given).lower()}")


def _override_behind(key: str, overrides: Mapping[str, str]) -> str | None:
    for dotted, text in overrides.items():
        if key and (dotted == key or dotted.startswith(f"{key}.") or key.startswith(f"{dotted}.")):
            return text
    return None


def _key(loc: tuple[int | str, ...], tree: object) -> str:
    """The dotted key, without the type names that pydantic appends for the branches of a union."""
    parts: list[str] = []
    for part in loc:
        in_mapping = isinstance(tree, Mapping) and part in tree
        in_list = isinstance(tree, list) and isinstance(part, int) and part < len(tree)
        if not (in_mapping or in_list):
            break
        tree = tree[part]  # type: ignore[index]
        parts.append(str(part))
    return ".".join(parts)


def _sentence(key: str, errors: list[ErrorDetails]) -> str:
    error = errors[0]
    value = _shown(error["input"])
    match error["type"]:
        case "extra_forbidden":
            return f"unknown key {key}{_suggest(nearest_keys(key))}"
        case "model_type" | "model_attributes_type":
            return f"{key or 'config'} must be a section with keys of its own, got {value}"
        case "value_error":
            text = str(error.get("ctx", {}).get("error", error["msg"]))
            return f"{key}.{text}" if key else text
        case "literal_error":
            return f"{key} must be {_allowed(error)}, got {value}{_suggest_value(key, error['input'])}"
    if len(errors) > 1:
        return f"{key} must be true or false, a number, text, or a list of whole numbers or of texts, got {value}"
    rule = _RULES.get(error["type"]) or error["msg"].removeprefix("Input should ").removeprefix("Value should ")
    return f"{key} must {rule}, got {value}"


def _allowed(error: ErrorDetails) -> str:
    return str(error["ctx"]["expected"]).replace("'", "")


def _suggest(names: list[str]) -> str:
    return f"; did you mean {' or '.join(names)}?" if names else "; docs/configuration.md lists the keys"


def _suggest_value(key: str, value: object) -> str:
    annotation = annotation_at(key) or annotation_at(key.rpartition(".")[0])
    literals = tuple(literal for arg in (annotation, *get_args(annotation)) for literal in get_args(arg))
    near = nearest_value(value, literals)
    return f"; did you mean {near}?" if near else ""


def _shown(value: object) -> str:
    text = value if isinstance(value, str) and value.isprintable() and value.strip() else repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"
