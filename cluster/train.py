"""`python -m cluster.train [CONFIG] [key=value ...] [--local]`: `azr train` by the name that Ray jobs use."""

import sys
from collections.abc import Sequence

from cluster import cli


def main(argv: Sequence[str] | None = None) -> None:
    """Ends the process with the command's exit code."""
    cli.main(["train", *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    main()
