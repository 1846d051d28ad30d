"""The run directory: made once, resumed by the same command, written by one process at a time.

Invariant: what `config.yaml` says is what every checkpoint in the directory was made with, apart from the keys in
MAY_CHANGE, which do not alter what has been learned. Nothing of an existing directory is overwritten before the
configuration has been compared. Checkpoints themselves belong to the loop; here their names and state are only read.

    RUN/config.yaml  environment.json  lock  status.json  ledger/segment-000001.jsonl
    RUN/checkpoints/step-000050/{model/,trainer/,buffers.json,state.json}
"""

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from cluster.environment import describe_environment
from cluster.run_lock import run_lock
from configs.errors import UserError
from configs.flat import flatten
from configs.schema import RunConfig
from configs.validation import one_line
from selfplay.schedule import is_over
from telemetry.atomic import write_atomically
from telemetry.status import read_status

MAY_CHANGE = (
    "run.steps",
    "run.notes",
    "run.root",
    "run.name",
    "run.checkpoint_every",
    "run.keep_checkpoints",
    "model.stand_in.cache",
    "generators.count",
    "verifiers.count",
    "pipeline.in_flight",
    "pipeline.retries",
    "pipeline.request_timeout_s",
    "pipeline.batch_timeout_s",
    "cluster.",
    "telemetry.",
)
JOB_COPIES = "runtime_resources"  # the folder under which Ray unpacks the working directories of jobs
MIN_FREE_BYTES = 512 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDirectory:
    path: Path
    config: RunConfig
    resumed: bool
    wandb_run_id: str

    @property
    def newest_checkpoint(self) -> Path | None:
        """By step; a checkpoint appears by an atomic rename, so whatever is listed is whole."""
        return max((self.path / "checkpoints").glob("step-*"), key=lambda path: path.name, default=None)

    @property
    def steps_done(self) -> int:
        newest = self.newest_checkpoint
        return 0 if newest is None else int(newest.name.removeprefix("step-"))

    @property
    def global_step(self) -> int | None:
        """The master clock at the newest checkpoint; None before the first one."""
        return None if self.newest_checkpoint is None else self._number("global_step")

    @property
    def finished(self) -> bool:
        return (
            self.status == "finished"
            and self.newest_checkpoint is not None
            and is_over(self.config.run, self.steps_done, self._number("tokens"))
        )

    def _number(self, name: str) -> int:
        """Of the loop's state in the newest checkpoint."""
        newest = self.newest_checkpoint
        assert newest is not None, "there is a checkpoint"
        remedy = f"delete {newest}: the checkpoint before it is used then"
        value = (_read_json(newest / "state.json", remedy) or {}).get(name)
        if not isinstance(value, int):
            raise UserError(f"{newest / 'state.json'} is damaged (no {name}); {remedy}")
        return value

    @property
    def status(self) -> str:
        """As `status.json` has it; empty when the run has not begun."""
        try:
            status = read_status(self.path)
        except (OSError, ValueError) as failure:
            raise UserError(one_line(f"{self.path / 'status.json'} is damaged ({failure}); delete it and try again")) from None
        return status.status if status else ""


def run_path(config: RunConfig) -> Path:
    return base_folder() / Path(config.run.root).expanduser() / config.run.name


def base_folder() -> Path:
    """What a relative `run.root` is relative to: the current folder, unless that is the copy of a Ray job.

    Ray deletes the copy with the job, so runs go to the project that the job was submitted from, where this machine has
    it (AZR_PROJECT, set by `azr submit`), else to ~/absolute-zero-ray.
    """
    here = Path.cwd()
    if JOB_COPIES not in here.parts:
        return here
    project = Path(os.environ.get("AZR_PROJECT", ""))
    return project if project.is_absolute() and project.is_dir() else Path.home() / "absolute-zero-ray"


@contextmanager
def open_run(config: RunConfig, argv: Sequence[str]) -> Iterator[RunDirectory]:
    """Makes the run directory or resumes it, and holds its lock meanwhile. UserError when it cannot be this run's."""
    path = run_path(config)
    _prepare_disk(path)
    with run_lock(path):
        resumed = _same_run(path, config)
        environment = describe_environment(argv)
        before = _read_json(path / "environment.json", "delete it and try again") or {}
        wandb_run_id = str(before.get("wandb_run_id") or secrets.token_hex(4))
        write_atomically(path / "config.yaml", config_text(config))
        record = {**environment, "wandb_run_id": wandb_run_id, "starts": _starts(before, environment)}
        write_atomically(path / "environment.json", json.dumps(record, indent=2) + "\n")
        yield RunDirectory(path=path, config=config, resumed=resumed, wandb_run_id=wandb_run_id)


def config_text(config: RunConfig) -> str:
    """The resolved configuration, every key written out, as YAML that `load_config` reads back."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def differing_keys(before: RunConfig, now: RunConfig) -> list[str]:
    """`key: before -> now` for the keys that must not change within a run."""
    old, new = flatten(before.model_dump(mode="json")), flatten(now.model_dump(mode="json"))
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key) and not key.startswith(MAY_CHANGE)]
    return [f"{key}: {old.get(key)} -> {new.get(key)}" for key in keys]


def _read_json(path: Path, remedy: str) -> dict[str, object] | None:
    """The file's object; None when there is no file; UserError naming the file and the remedy when it is damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as failure:
        raise UserError(one_line(f"{path} is damaged ({failure}); {remedy}")) from None
    if not isinstance(value, dict):
        raise UserError(f"{path} is damaged (not a JSON object); {remedy}")
    return value


def _starts(before: Mapping[str, object], environment: Mapping[str, object]) -> list[object]:
    earlier = before.get("starts")
    start = {key: environment[key] for key in ("started_at", "argv", "commit", "host")}
    return [*(earlier if isinstance(earlier, list) else []), start]


def _prepare_disk(path: Path) -> None:
    """The directory exists, is writable and has room; one line otherwise, before anything starts."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.write_bytes(b"\0" * 4096)
        probe.unlink()
        free = shutil.disk_usage(path).free
    except OSError as failure:
        full = failure.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "free some space" if full else "make it writable"
        raise UserError(f"run.root: cannot write {path}: {failure.strerror}; {remedy} or choose another run.root") from None
    if free < MIN_FREE_BYTES:
        raise UserError(
            f"run.root must have {MIN_FREE_BYTES >> 20} MiB free, {path} has {free >> 20} MiB; "
            "free some space or choose another run.root"
        )


def _same_run(path: Path, config: RunConfig) -> bool:
    """Whether the directory holds this run already; False when it is new; UserError when it holds something else."""
    file = path / "config.yaml"
    if not file.exists():
        others = sorted(entry.name for entry in path.iterdir() if entry.name != "lock")
        if others:
            raise UserError(f"{path} is not a run directory (no config.yaml beside {others[0]}); choose another run.name")
        return False
    differing = differing_keys(_read_config(file), config)
    if differing:
        more = f" (and {len(differing) - 3} more)" if len(differing) > 3 else ""
        raise UserError(
            f"{path} holds a run with another configuration: {', '.join(differing[:3])}{more}; choose another run.name, "
            f"or change only what may change: {', '.join(MAY_CHANGE)}"
        )
    return True


def _read_config(file: Path) -> RunConfig:
    remedy = "put it back from environment.json's command line, or choose another run.name"
    try:
        return RunConfig.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as failure:
        raise UserError(one_line(f"{file} is damaged ({failure}); {remedy}")) from None
    except ValidationError as failure:
        error = failure.errors()[0]
        key = ".".join(map(str, error["loc"]))
        raise UserError(f"{file} does not fit this version ({key}: {error['msg']}); {remedy}") from None
