"""The arguments of `azr chaos`; what it does lies in cluster.chaos."""

from pathlib import Path
from typing import Annotated

import typer

from cluster.arguments import DEFAULT_CONFIG, Config, Json, Overrides, config_and_overrides

Minutes = Annotated[float, typer.Option(min=0, help="For how long processes are killed; then the run is left to finish.")]


def chaos(
    config: Config = DEFAULT_CONFIG,
    overrides: Overrides = None,
    minutes: Minutes = 5.0,
    seed: Annotated[int, typer.Option(help="Decides which roles are hit, how, and when.")] = 0,
    roles: Annotated[str, typer.Option(help="Only these, joined by commas; empty: all.")] = "",
    every: Annotated[float, typer.Option(min=0, help="Mean seconds between two kills.")] = 15.0,
    kills: Annotated[int, typer.Option(min=0, help="At most so many; 0: as many as there is time for.")] = 0,
    against: Annotated[
        Path | None, typer.Option(help="An undisturbed run of the same, whose curve is to be this one's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Runs a configuration while killing its processes at random, audits it, and prints the verdict."""
    from cluster.chaos import Plan
    from cluster.chaos import chaos as run_chaos
    from cluster.victims import ROLES

    chosen = tuple(role for role in roles.split(",") if role) or ROLES
    plan = Plan(minutes=minutes, seed=seed, roles=chosen, every_s=every, kills=kills, against=against)
    raise typer.Exit(run_chaos(*config_and_overrides(config, overrides), plan, as_json=as_json))
