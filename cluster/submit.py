"""`azr submit`: a run as a Ray job on a running cluster, with a small copy of the project and an allow-list of variables.

The job is `python -m cluster.train CONFIG ...`, the same program as `azr train`. The cluster's machines have the project's
packages installed: nothing is installed at submit time. The configuration is checked here, before anything is sent. A job
that runs the same command already is followed; a second one would only find its run directory taken.
"""

import asyncio
import os
import shlex
from collections.abc import Mapping, Sequence

from ray.job_submission import JobStatus, JobSubmissionClient

from cluster.console import say
from cluster.environment import code_state
from configs.errors import ConfigError, UserError
from configs.loader import SHIPPED, find_config, load_config
from configs.schema import RunConfig
from configs.validation import one_line

PROJECT = SHIPPED.parent
DEFAULT_ADDRESS = "http://127.0.0.1:8265"
EXCLUDES = (
    ".venv/", ".git/", "runs/", "wandb/", "build/", "docs/", "tests/", ".mypy_cache/", ".ruff_cache/", ".pytest_cache/",
    ".hypothesis/", "**/__pycache__/", "*.egg-info/",
)  # fmt: skip
ALLOWED = (
    "WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_ENTITY", "WANDB_PROJECT", "HF_HOME", "HF_TOKEN", "HF_ENDPOINT",
    "HF_HUB_OFFLINE", "NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME",
)  # fmt: skip
ALLOWED_PREFIX = "AZR_"
EXIT_CODES = {JobStatus.SUCCEEDED: 0, JobStatus.STOPPED: 130}


def submit_run(
    config: str, overrides: Sequence[str], *, address: str, wait: bool, program: Sequence[str] = ("cluster.train",)
) -> int:
    """Submits, and follows the log unless told not to; 0 when the job succeeded, 130 when it was stopped, 1 when it failed.

    `program`: the module that the job runs, and the words before CONFIG.
    """
    checked = load_config(config, overrides)
    command = entrypoint(path_in_project(config), overrides, program)
    client = _connect(address or os.environ.get("RAY_API_SERVER_ADDRESS", "") or DEFAULT_ADDRESS)
    job = _unfinished(client, command)
    if job:
        say(f"job {job} runs this already on {client.get_address()}")
    else:
        job = client.submit_job(
            entrypoint=command,
            runtime_env={"working_dir": str(PROJECT), "excludes": list(EXCLUDES), "env_vars": environment(os.environ)},
            metadata=run_metadata(checked),
        )
        say(f"job {job} submitted to {client.get_address()}")
    if not wait:
        say(f"follow it with: ray job logs --address {client.get_address()} --follow {job}")
        return 0
    try:
        asyncio.run(_tail(client, job))
    except KeyboardInterrupt:
        say(f"job {job} goes on; stop it with: ray job stop --address {client.get_address()} {job}")
        raise
    status = client.get_job_status(job)
    say(f"job {job}: {status}")
    return EXIT_CODES.get(status, 1)


def entrypoint(config: str, overrides: Sequence[str], program: Sequence[str] = ("cluster.train",)) -> str:
    return shlex.join(["python", "-m", *program, config, *overrides])


def path_in_project(config: str) -> str:
    """The configuration as the job finds it: the job's working directory is a copy of the project."""
    file = find_config(config).resolve()
    if not file.is_relative_to(PROJECT):
        raise ConfigError(f"config must lie in the project to travel with a job, got {file}; put it under {SHIPPED}")
    return str(file.relative_to(PROJECT))


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables that travel: those of the allow-list, AZR_*, and which project and commit the copy was made from."""
    carried = {name: value for name, value in variables.items() if name in ALLOWED or name.startswith(ALLOWED_PREFIX)}
    state = code_state()
    commit = f"{state['commit']}{'+dirty' if state['dirty'] else ''}"
    return {"AZR_COMMIT": commit, "AZR_PROJECT": str(PROJECT), **carried}


def run_metadata(config: RunConfig) -> dict[str, str]:
    """What the dashboard shows of a job."""
    return {"run": config.run.name, "seed": str(config.seed), "model": config.model.name_or_path}


def _connect(address: str) -> JobSubmissionClient:
    try:
        return JobSubmissionClient(address)
    except (ConnectionError, RuntimeError, ValueError, OSError) as failure:
        first = next((line for line in str(failure).splitlines() if line.strip()), type(failure).__name__)
        raise UserError(
            one_line(
                f"--address: no Ray dashboard answers at {address} ({first}); start one with `ray start --head`, name its "
                "address, and set RAY_AUTH_TOKEN if it wants a token"
            )
        ) from failure


def _unfinished(client: JobSubmissionClient, command: str) -> str | None:
    """The newest job of this very command that is waiting or running."""
    jobs = [job for job in client.list_jobs() if job.entrypoint == command and not job.status.is_terminal()]
    newest = max(jobs, key=lambda job: job.start_time or 0, default=None)
    return newest.submission_id if newest else None


async def _tail(client: JobSubmissionClient, job: str) -> None:
    async for lines in client.tail_job_logs(job):
        say(lines, end="")
