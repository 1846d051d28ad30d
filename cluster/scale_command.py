"""The arguments of `azr scale`; what it does lies in cluster.scale."""

from pathlib import Path
from typing import Annotated

import typer

from cluster.arguments import Json


def scale(
    number: Annotated[int, typer.Argument(metavar="N", help="How many generators it is to have; at least 1.")],
    run: Annotated[Path, typer.Argument(help="Run directory of an asynchronous run that goes on.")],
    as_json: Json = False,
) -> None:
    """Gives a run that goes on another number of generators, and waits until they serve."""
    from cluster.scale import scale_run

    scale_run(run, number, as_json=as_json)
