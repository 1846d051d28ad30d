"""What a model's name stands for: the stand-in, a local folder, or a Hugging Face model; and what its config says.

A name that leads nowhere is found here, before Ray or an engine starts. Weights are not read here.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from configs.errors import ConfigError
from configs.play_sections import ModelSection, StandInSection
from configs.validation import one_line

STAND_IN = "stand-in"
STAND_IN_VOCABULARY = 64  # about; the family's alphabet decides it
_SIZE_IN_NAME = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)[-_]?([BM])(?![A-Za-z])", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    parameters: float
    basis: str  # where the number comes from, in words


def check_model(model: ModelSection) -> None:
    """ConfigError when the name is neither the stand-in, nor a model folder, nor a model that can be fetched or is cached."""
    name = model.name_or_path
    if name == STAND_IN:
        return
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ConfigError(f"model.name_or_path must be a Hugging Face model folder, {name} has no config.json")
        return
    try:
        hf_hub_download(name, "config.json")
    except HFValidationError:
        raise ConfigError(f"model.name_or_path must be stand-in, a folder or a hub name, got {name!r}") from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as failure:
        reason = next((line for line in str(failure).splitlines() if line.strip()), type(failure).__name__)
        raise ConfigError(
            one_line(
                f"model.name_or_path: no model {name!r} here or on the hub ({reason[:120]}); "
                "check the name and HF_TOKEN, name a local folder, or use stand-in"
            )
        ) from None


def model_size(model: ModelSection) -> Size | None:
    """Parameters from the stand-in's section, a config.json on this machine, or the name; None: unknown. No download."""
    if model.name_or_path == STAND_IN:
        return Size(parameters=_stand_in_parameters(model.stand_in), basis="stand-in's shape")
    config = _local_config(model.name_or_path)
    counted = count_parameters(config) if config else None
    if counted:
        return Size(parameters=counted, basis="config.json")
    named = _SIZE_IN_NAME.search(model.name_or_path.rsplit("/", 1)[-1])
    if named is None:
        return None
    scale = 1e9 if named[2].upper() == "B" else 1e6
    return Size(parameters=float(named[1]) * scale, basis="its name; no config.json on this machine")


def count_parameters(config: dict[str, object]) -> float | None:
    """Weights of a decoder with gated MLP (Llama, Qwen2 and their kin): embeddings + layers × (attention + 3 · h · m).

    None when config.json lacks one of the sizes. Biases and norms are left out: under 1 %.
    """
    sizes = [
        config.get(key)
        for key in ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    ]
    numbers = [size for size in sizes if isinstance(size, int)]
    if len(numbers) < len(sizes):
        return None
    vocabulary, hidden, inner, layers, heads = numbers
    groups = config.get("num_key_value_heads")
    key_value = hidden * (groups if isinstance(groups, int) else heads) / heads
    embeddings = vocabulary * hidden * (1 if config.get("tie_word_embeddings") else 2)
    return embeddings + layers * (2 * hidden * hidden + 2 * hidden * key_value + 3 * hidden * inner)


def _stand_in_parameters(section: StandInSection) -> float:
    shape: dict[str, object] = {
        "vocab_size": STAND_IN_VOCABULARY,
        "hidden_size": section.hidden_size,
        "intermediate_size": 4 * section.hidden_size,
        "num_hidden_layers": section.num_layers,
        "num_attention_heads": section.num_heads,
    }
    return count_parameters(shape) or 0.0


def _local_config(name: str) -> dict[str, object] | None:
    folder = Path(name).expanduser()
    file: Path | None = folder / "config.json" if folder.is_dir() else None
    if file is None:
        try:
            cached = try_to_load_from_cache(name, "config.json")
        except HFValidationError:
            return None
        file = Path(cached) if isinstance(cached, str) else None
    if file is None or not file.is_file():
        return None
    value = json.loads(file.read_text(encoding="utf-8"))
    return value if isinstance(value, dict) else None
