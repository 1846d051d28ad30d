"""Arguments that several commands of `azr` have, and what they mean together."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_CONFIG = "tiny-cpu"
Config = Annotated[str, typer.Argument(metavar="CONFIG", help="YAML file, or the name of a shipped one.")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Overrides, as in learner.lr=1e-4.")]
Json = Annotated[bool, typer.Option("--json", help="One line of JSON, the last of stdout.")]


def config_and_overrides(config: str, overrides: Sequence[str] | None) -> tuple[str, list[str]]:
    """`azr train key=value` has no CONFIG: the default one is meant."""
    given = list(overrides or [])
    return (DEFAULT_CONFIG, [config, *given]) if "=" in config and not Path(config).exists() else (config, given)
