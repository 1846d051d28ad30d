"""The policy's folder in Hugging Face format: reading the model, and writing weights, configuration and tokenizer.

Invariant: what is written loads in transformers and vLLM as it is. Does not: know DeepSpeed, optimizers, versions.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from configs.errors import UserError

# What a folder may hold beside weights and config.json; special_tokens_map and added_tokens are older spellings.
TOKENIZER_FILES = (
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template*",
    "spiece.model",
    "sentencepiece*.model",
)


def read(model_path: str, dtype: torch.dtype) -> Any:
    """A causal language model whose attention takes our mask."""
    logging.disable_progress_bar()  # whoever runs us draws its own
    try:
        model = AutoModelForCausalLM.from_pretrained(model_path, dtype=dtype, attn_implementation="sdpa")
    except (OSError, ValueError) as error:
        first_line = str(error).strip().split("\n")[0]
        raise UserError(f"model {model_path} cannot be loaded ({first_line}); check model.name_or_path") from error
    return _without_dropout(model)


def _without_dropout(model: Any) -> Any:
    """The sampler has none: with it the learner's logprobs would be of another policy."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0
    return model


def write(model: Any, tensors: Mapping[str, torch.Tensor], path: Path, source: str) -> None:
    """Writes `tensors` as the weights of `model`, its configuration, and the tokenizer of `source`."""
    path.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(path, state_dict=dict(tensors))
    copy_tokenizer(source, path)


def copy_tokenizer(source: str, path: Path) -> None:
    """Byte for byte from a folder; through transformers from a hub name. A folder without a tokenizer has none to copy."""
    folder = Path(source)
    if not folder.is_dir():
        AutoTokenizer.from_pretrained(source).save_pretrained(path)
        return
    for pattern in TOKENIZER_FILES:
        for file in sorted(folder.glob(pattern)):
            if file.is_file():
                shutil.copyfile(file, path / file.name)
            else:
                shutil.copytree(file, path / file.name, dirs_exist_ok=True)
