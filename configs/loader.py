"""Reads a run's YAML, applies dotted overrides, and returns a checked `RunConfig`.

Invariant: whatever is wrong with what the user wrote ends in one `ConfigError` of one line that names the key, its
value, the rule, and the nearest name where one is close. Nothing is started, created or guessed here.
"""

from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import ValidationError

from configs.errors import ConfigError
from configs.schema import RunConfig
from configs.schema_keys import annotation_at
from configs.validation import describe_failure, one_line, refuse_truth_for_number
from configs.yaml_dialect import parse_yaml

SHIPPED = Path(__file__).parent

Tree = dict[str, object]


def load_config(path: Path | str, overrides: Sequence[str] = ()) -> RunConfig:
    """The configuration of a run: file, then overrides `a.b=value` (values are YAML), then defaults.

    `path` is a file or the bare name of a shipped one (`tiny-cpu`). An empty `run.name` becomes CONFIG-sSEED.
    """
    file = find_config(path)
    tree = read_tree(file)
    changed = dict(apply_override(tree, override) for override in overrides)
    try:
        config = RunConfig.model_validate(tree)
    except ValidationError as failure:
        raise ConfigError(describe_failure(failure, tree, str(path), changed)) from None
    refuse_truth_for_number(config, tree)
    name = config.run.name or f"{file.stem}-s{config.seed}"
    return config.model_copy(update={"run": config.run.model_copy(update={"name": name})})


def shipped_configs() -> list[str]:
    """Bare names of the configurations that come with the project."""
    return sorted(file.stem for file in SHIPPED.glob("*.yaml"))


def find_config(path: Path | str) -> Path:
    file = Path(path).expanduser()
    if file.is_dir():
        raise ConfigError(one_line(f"config must be a YAML file, got the folder {str(path)!r}"))
    if file.is_file():
        return file
    shipped = SHIPPED / f"{file.name.removesuffix('.yaml')}.yaml"
    if len(file.parts) == 1 and shipped.is_file():
        return shipped
    known = ", ".join(shipped_configs())
    raise ConfigError(one_line(f"config must be an existing YAML file or one of {known}, got {str(path)!r}"))


def read_tree(file: Path) -> Tree:
    """The file's mapping; an empty file means every default."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        raise ConfigError(one_line(f"{file}: config must be readable UTF-8 text; {failure}")) from None
    try:
        tree = parse_yaml(text)
    except yaml.YAMLError as failure:
        raise ConfigError(one_line(f"{file}: bad YAML{_position(failure)}")) from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(one_line(f"{file}: config must be a mapping of `key: value`, got {type(tree).__name__}"))
    return tree


def apply_override(tree: Tree, override: str) -> tuple[str, str]:
    """Sets one `a.b=value` in the tree; returns the dotted key and the override as written."""
    key, equals, text = override.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ConfigError(one_line(f"override must be written key=value (as in learner.lr=1e-4), got {override!r}"))
    parts = key.split(".")
    if not all(parts):
        raise ConfigError(one_line(f"override key must be names joined by single dots, got {key!r}"))
    node = tree
    for depth, part in enumerate(parts[:-1], start=1):
        child = node.setdefault(part, {})
        if not isinstance(child, dict):
            held = ".".join(parts[:depth])
            raise ConfigError(one_line(f"override {override!r}: {held} is a single value and has no keys of its own"))
        node = child
    node[parts[-1]] = parse_value(key, text)
    return key, override


def parse_value(key: str, text: str) -> object:
    """An override's value as YAML; a text field keeps what was typed (`run.name=007` stays `007`)."""
    is_text = annotation_at(key) is str
    try:
        value = parse_yaml(text)
    except yaml.YAMLError as failure:
        if is_text:
            return text
        raise ConfigError(one_line(f"override {key}={text}: the value is bad YAML{_position(failure)}")) from None
    return text if is_text and not isinstance(value, str) else value


def _position(failure: yaml.YAMLError) -> str:
    if not isinstance(failure, yaml.MarkedYAMLError) or failure.problem_mark is None:
        return f": {failure}"
    mark = failure.problem_mark
    return f" in line {mark.line + 1}, column {mark.column + 1}: {failure.problem or failure.context}"
