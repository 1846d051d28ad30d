"""Starts a local Ray cluster or joins a running one, and leaves nothing of what it started.

Invariant: a cluster that was started here is gone when the context ends, whatever ended it; a cluster that was joined
stays untouched. Ray's own token authentication is left on (`ray get-auth-token` shows the token for the dashboard).

    cluster.address   RAY_ADDRESS set (as inside a Ray job)   `ray start` cluster alive   neither
    auto              join it                                 join it                     start a local one
    local             start a local one                       start a local one           start a local one
    host:port         join that one                           join that one               join that one
"""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ray
from ray.job_config import JobConfig

from cluster.patience import patiently
from cluster.processes import end_processes, raise_on_stop_signals, undisturbed
from cluster.ray_processes import children, ray_processes
from configs.errors import ConfigError, UserError
from configs.system_sections import ClusterSection
from configs.validation import one_line

NAMESPACE = "absolute-zero-ray"
CURRENT_CLUSTER = Path("/tmp/ray/ray_current_cluster")  # written by `ray start`, not by ray.init
PROBE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    dashboard_url: str  # empty when the cluster has no dashboard
    started_here: bool


@contextmanager
def ray_cluster(
    section: ClusterSection, *, num_cpus: float, debug: bool = False, metadata: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """`num_cpus` logical CPUs are offered by a cluster that is started here, at least as many as the machine has.

    `metadata` is shown with the job in the dashboard.
    """
    address = address_to_join(section.address)
    before = children()
    try:
        if address:
            yield _joined(address, debug, JobConfig(metadata=dict(metadata or {})))
        else:
            yield _started(section, num_cpus, debug, JobConfig(metadata=dict(metadata or {})))
    finally:
        with undisturbed():
            started = ray_processes(before)
            ray.shutdown()
            end_processes(started)


def address_to_join(wanted: str) -> str | None:
    """The running cluster that `cluster.address` means; None: start one."""
    if wanted == "local":
        return None
    if wanted != "auto":
        if wanted.startswith(("ray://", "http://", "https://")):
            raise ConfigError(
                f"cluster.address must be auto, local or HOST:PORT of a cluster this machine belongs to, got {wanted}; "
                f"from outside a cluster use `azr submit CONFIG --address {wanted}`"
            )
        return wanted
    told = os.environ.get("RAY_ADDRESS", "").strip()
    if told:
        return None if told == "local" else told
    if CURRENT_CLUSTER.is_file():
        recorded = CURRENT_CLUSTER.read_text(encoding="utf-8").strip()
        return recorded if _answers(recorded) else None
    return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def check_port(port: int, key: str) -> None:
    """ConfigError when something listens there already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as failure:
            raise ConfigError(f"{key}: port {port} cannot be used ({failure.strerror}); set {key}=0 for a free one") from None


def _answers(address: str) -> bool:
    """Whether anything listens at HOST:PORT: the record of a cluster outlives it."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=PROBE_TIMEOUT_S):
            return True
    except (OSError, ValueError):
        return False


def _joined(address: str, debug: bool, job: JobConfig) -> Cluster:
    try:
        context = ray.init(
            address=address, namespace=NAMESPACE, job_config=job, log_to_driver=debug, logging_level=_level(debug)
        )
    except (ConnectionError, RuntimeError, ValueError, OSError) as failure:
        raise UserError(
            one_line(
                f"cluster.address: cannot join the Ray cluster at {address} ({_first_line(failure)}); start it with "
                "`ray start --head`, or set cluster.address=local"
            )
        ) from failure
    raise_on_stop_signals()
    return Cluster(dashboard_url=_url(context.dashboard_url), started_here=False)


def _started(section: ClusterSection, num_cpus: float, debug: bool, job: JobConfig) -> Cluster:
    if section.dashboard_port:
        check_port(section.dashboard_port, "cluster.dashboard_port")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Calls that Ray's head remembers for its dashboard. Its own 100,000 of them let its memory grow through the first hours.
    os.environ.setdefault("RAY_task_events_max_num_task_in_gcs", "1000")
    try:
        context = patiently(
            lambda: ray.init(
                address="local",
                namespace=NAMESPACE,
                job_config=job,
                num_cpus=max(round(num_cpus + 0.5), os.cpu_count() or 1),
                include_dashboard=True,
                dashboard_host="127.0.0.1",
                dashboard_port=section.dashboard_port or free_port(),
                object_store_memory=section.object_store_mib * 2**20,
                log_to_driver=debug,
                logging_level=_level(debug),
            )
        )
    except (ConnectionError, RuntimeError, ValueError, OSError) as failure:
        raise UserError(
            one_line(
                f"a local Ray cluster could not be started ({_first_line(failure)}); `azr doctor` says what is missing, "
                "and --local runs without Ray"
            )
        ) from failure
    raise_on_stop_signals()
    return Cluster(dashboard_url=_url(context.dashboard_url), started_here=True)


def _url(address: str | None) -> str:
    return f"http://{address}" if address else ""


def _level(debug: bool) -> str:
    return "info" if debug else "error"


def _first_line(failure: BaseException) -> str:
    return next((line.strip() for line in str(failure).splitlines() if line.strip()), type(failure).__name__)
