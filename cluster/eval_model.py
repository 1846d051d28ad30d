"""The model behind what `azr eval` is given, the configuration that it is asked by, and the engine that asks it.

One engine in this process, without Ray. Nothing is written into the run directory.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from actors.engines import Engine, make_engine
from actors.prompts import PromptCodec
from cluster.devices import count_gpus
from cluster.model_source import check_model
from configs.errors import ConfigError, UserError
from configs.loader import load_config
from configs.schema import RunConfig

ENGINES = ("transformers", "vllm")
PROMPT_FORMATS = ("auto", "chat", "plain")
DEFAULT_CONFIG = "tiny-cpu"  # of a model that comes from no run of ours
ROOM_TOKENS = 64  # chat template and special tokens around a prompt
MAX_MODEL_LEN = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A model on disk or on the hub, and the configuration that says how to ask it."""

    model: str
    config: RunConfig


def find_source(checkpoint: str, engine: str, prompt_format: str = "") -> Source:
    """A run directory (its newest checkpoint), a checkpoint, a model folder, or a Hugging Face name.

    An empty `prompt_format` is the run's own.
    """
    if engine not in ENGINES:
        raise ConfigError(f"--engine must be transformers or vllm, got {engine}")
    if prompt_format and prompt_format not in PROMPT_FORMATS:
        raise ConfigError(f"--prompt-format must be auto, chat or plain, got {prompt_format}")
    folder = Path(checkpoint).expanduser()
    if (folder / "checkpoints").is_dir():
        found = sorted((folder / "checkpoints").glob("step-*"))
        if not found:
            raise UserError(f"{folder} has no checkpoint yet; the first one is written after the seeding phase")
        folder = found[-1]
    model = folder / "model" if (folder / "model" / "config.json").is_file() else folder
    if folder.is_dir() and not (model / "config.json").is_file():
        raise UserError(
            f"{folder} must be a run directory, a checkpoint or a model folder; it has neither checkpoints nor config.json"
        )
    name = str(model.absolute()) if folder.is_dir() else checkpoint
    config = load_config(_run_config(model) or DEFAULT_CONFIG)
    return Source(model=name, config=_asking(config, name, engine, prompt_format))


def _asking(config: RunConfig, model: str, engine: str, prompt_format: str) -> RunConfig:
    """The run's configuration with another model, engine and device."""
    device = "gpu" if config.generators.device == "gpu" and count_gpus() else "cpu"
    changed = {
        "name_or_path": model,
        "dtype": config.model.dtype if device == "gpu" else "float32",
        "prompt_format": prompt_format or config.model.prompt_format,
    }
    return config.model_copy(
        update={
            "model": config.model.model_copy(update=changed),
            "generators": config.generators.model_copy(update={"engine": engine, "device": device}),
        }
    )


def _run_config(model: Path) -> Path | None:
    """`config.yaml` of the run that a checkpoint's model lies in: RUN/checkpoints/STEP/model."""
    candidates = [parent / "config.yaml" for parent in list(model.absolute().parents)[:3]]
    return next((file for file in candidates if file.is_file()), None)


def speaks_chat(config: RunConfig) -> bool:
    """Whether prompts go through a chat template, so that the model can be told what to do. Reads its tokenizer."""
    check_model(config.model)
    return PromptCodec(config.model.name_or_path, config.model.prompt_format, MAX_MODEL_LEN).chat


def with_room(config: RunConfig, longest: int) -> RunConfig:
    """Room for `longest` characters and tokens (prompt and completion): a character is at most a token or so."""
    length = max(config.generators.max_model_len, min(MAX_MODEL_LEN, longest + ROOM_TOKENS))
    return config.model_copy(update={"generators": config.generators.model_copy(update={"max_model_len": length})})


@contextmanager
def open_engine(config: RunConfig) -> Iterator[Engine]:
    engine = make_engine(config.model.name_or_path, config.generators, config.model, "azr-eval")
    try:
        yield engine
    finally:
        engine.close()
