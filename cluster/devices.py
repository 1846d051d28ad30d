"""Which accelerators this machine has, and whether a configuration asks for more: found before anything starts."""

import os
import subprocess
from importlib.util import find_spec
from pathlib import Path

from configs.errors import ConfigError
from configs.schema import RunConfig

DRIVER = Path("/proc/driver/nvidia/gpus")


def count_gpus() -> int:
    """NVIDIA GPUs that this process may use, without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([name for name in visible.split(",") if name.strip() not in ("", "-1")])
    if DRIVER.is_dir():
        return len(list(DRIVER.iterdir()))
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return len([line for line in listed.stdout.splitlines() if line.startswith("GPU ")]) if listed.returncode == 0 else 0


def gpus_needed(config: RunConfig) -> dict[str, int]:
    """GPUs by the key that asks for them; empty for a CPU run."""
    needed = {
        "generators.device": config.generators.count if config.generators.device == "gpu" else 0,
        "learner.device": config.learner.world_size if config.learner.device == "gpu" else 0,
    }
    return {key: count for key, count in needed.items() if count}


def check_devices(config: RunConfig, *, shared: bool) -> None:
    """ConfigError when this machine has fewer GPUs than the run needs; `shared`: one process, so one GPU is enough."""
    needed = gpus_needed(config)
    total = 1 if shared and needed else sum(needed.values())
    found = count_gpus() if needed else 0
    if found < total:
        asks = " and ".join(f"{key}=gpu" for key in needed)
        cpu = " ".join(f"{key}=cpu" for key in needed)
        raise ConfigError(
            f"{asks}: {total} GPU{'s' if total > 1 else ''} needed, {found} found on this machine; "
            f"run `{cpu} model.dtype=float32`, or submit to a cluster that has them (azr submit)"
        )


def check_engine(config: RunConfig) -> None:
    if config.generators.engine == "vllm" and find_spec("vllm") is None:
        raise ConfigError(
            "generators.engine=vllm: vllm is not installed; run `make setup`, or set generators.engine=transformers"
        )
