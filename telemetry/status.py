"""What a run directory says of its run: `status.json`, kept current by the hub and read by the leaderboard.

Invariant: the file is always whole (atomic replacement). Liveness is not trusted from the file: a run that says
`running` is so only while the process that wrote it exists, recognised by its id and its start time.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import psutil

from telemetry.atomic import write_atomically

FILE = "status.json"
RUNNING = "running"
INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    status: str  # running | finished | failed | interrupted
    run: str = ""
    config: str = ""  # name of the configuration, without the seed
    seed: int = 0
    notes: str = ""
    phase: str = ""
    step: int = 0  # within the phase
    version: int = 0
    global_step: int = 0
    seconds: float = 0.0  # wall time of all sessions, with work lost to crashes
    tokens: float = 0.0
    wandb_run_id: str = ""
    wandb_dir: str = ""
    wandb_failures: int = 0
    pid: int = 0
    pid_started: float = 0.0
    started_at: float = 0.0  # Unix time of the first session
    updated_at: float = 0.0


def config_name(run: str, seed: int) -> str:
    """The configuration's name in a run directory's name, which is CONFIG-sSEED unless the user chose another."""
    return run.removesuffix(f"-s{seed}")


def process_start(pid: int) -> float:
    """Unix time at which a process started; 0 when there is none."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0


def write_status(run_dir: Path, status: RunStatus) -> None:
    write_atomically(run_dir / FILE, json.dumps(asdict(status), indent=1, allow_nan=False) + "\n")


def read_status(run_dir: Path) -> RunStatus | None:
    """None when the run has not started. Raises OSError or ValueError when the file cannot be read."""
    try:
        data: Any = json.loads((run_dir / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    if not isinstance(data, dict) or not isinstance(data.get("status"), str):
        raise ValueError(f"{FILE} must be an object with a status")
    return RunStatus(**{field.name: data[field.name] for field in fields(RunStatus) if field.name in data})


def live_status(status: RunStatus) -> str:
    """`status` as it is now: a run whose process is gone without a last word was interrupted."""
    alive = abs(process_start(status.pid) - status.pid_started) < 1.0
    return INTERRUPTED if status.status == RUNNING and not alive else status.status
