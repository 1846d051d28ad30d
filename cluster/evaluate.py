"""`azr eval`: greedy accuracy of any checkpoint, ours or a Hugging Face model, on held-out suites and on JSONL files.

One engine in this process, without Ray. Nothing is written into the run directory.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from transformers.utils.logging import disable_progress_bar

from actors.engines import Engine, make_engine
from cluster.console import say, say_json
from cluster.devices import check_engine, count_gpus
from cluster.model_source import check_model
from configs.errors import ConfigError, UserError
from configs.loader import load_config
from configs.schema import RunConfig
from selfplay.evaluate import Item, SuiteResult, evaluate, file_items, heldout_items
from tasks.family import Family, load_family
from tasks.records import Kind
from telemetry.intervals import wilson
from verifier.verifier import FamilyVerifier

ENGINES = ("transformers", "vllm")
ROOM_TOKENS = 64  # chat template and special tokens around a prompt
MAX_MODEL_LEN = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A model on disk or on the hub, and the configuration that says how to ask it."""

    model: str
    config: RunConfig


def evaluate_checkpoint(
    checkpoint: str, *, suites: Sequence[str], data: Sequence[Path], limit: int, engine: str, verbatim: bool, as_json: bool
) -> None:
    source = find_source(checkpoint, engine)
    section = source.config.family
    family = load_family(section.name, section.options)
    verifier = FamilyVerifier(section.name, section.options, source.config.verifiers)
    questions = choose_suites(source.config, family, verifier, suites, data, limit, verbatim=verbatim)
    config = _roomy(source.config, questions)
    check_engine(config)
    check_model(config.model)
    disable_progress_bar()
    with _engine(config) as generator:
        results = evaluate(generator, verifier, questions, config.evaluation.max_tokens, 0)
    for result in results:
        say(_line(result))
    if as_json:
        say_json({"checkpoint": checkpoint, "model": source.model, "engine": engine, "suites": _as_json(results)})


def find_source(checkpoint: str, engine: str) -> Source:
    """A run directory (its newest checkpoint), a checkpoint, a model folder, or a Hugging Face name."""
    if engine not in ENGINES:
        raise ConfigError(f"--engine must be transformers or vllm, got {engine}")
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
    config = load_config(_run_config(model) or "tiny-cpu")
    device = "gpu" if config.generators.device == "gpu" and count_gpus() else "cpu"
    dtype = config.model.dtype if device == "gpu" else "float32"
    return Source(
        model=name,
        config=config.model_copy(
            update={
                "model": config.model.model_copy(update={"name_or_path": name, "dtype": dtype}),
                "generators": config.generators.model_copy(update={"engine": engine, "device": device}),
            }
        ),
    )


def _run_config(model: Path) -> Path | None:
    """`config.yaml` of the run that a checkpoint's model lies in: RUN/checkpoints/STEP/model."""
    candidates = [parent / "config.yaml" for parent in list(model.absolute().parents)[:3]]
    return next((file for file in candidates if file.is_file()), None)


def choose_suites(
    config: RunConfig,
    family: Family,
    verifier: FamilyVerifier,
    suites: Sequence[str],
    data: Sequence[Path],
    limit: int,
    *,
    verbatim: bool = False,
) -> dict[str, list[Item]]:
    """The named held-out suites (all, when nothing is named) and the files, each cut to its first `limit` items.

    `verbatim`: the files' questions as they are, also where the family has a public form for them.
    """
    heldout = heldout_items(family, verifier, [Kind(name) for name in config.family.kinds])
    for name in suites:
        if name not in heldout:
            near = difflib.get_close_matches(name, heldout, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"--suite must be one of {', '.join(heldout)}, got {name}{hint}")
    wanted = list(suites) or ([] if data else list(heldout))
    chosen = {name: heldout[name][: limit or None] for name in wanted}
    return chosen | {file.stem: file_items(file, None if verbatim else family, limit or None) for file in data}


def _roomy(config: RunConfig, questions: Mapping[str, Sequence[Item]]) -> RunConfig:
    """Room for the longest prompt: a character is at most a token or so."""
    longest = max((len(item.prompt) for items in questions.values() for item in items), default=0)
    needed = min(MAX_MODEL_LEN, longest + config.evaluation.max_tokens + ROOM_TOKENS)
    length = max(config.generators.max_model_len, needed)
    return config.model_copy(update={"generators": config.generators.model_copy(update={"max_model_len": length})})


@contextmanager
def _engine(config: RunConfig) -> Iterator[Engine]:
    engine = make_engine(config.model.name_or_path, config.generators, config.model, "azr-eval")
    try:
        yield engine
    finally:
        engine.close()


def _line(result: SuiteResult) -> str:
    low, high = wilson(result.right, result.total)
    groups = "  ".join(f"{name} {right}/{total}" for name, (right, total) in result.groups.items())
    share = result.right / result.total
    return f"{result.name:<20} {share:6.1%} [{low:.1%}, {high:.1%}]  {result.right}/{result.total}  {groups}".rstrip()


def _as_json(results: Sequence[SuiteResult]) -> dict[str, object]:
    return {
        result.name: {
            "right": result.right,
            "total": result.total,
            "accuracy": result.right / result.total,
            "low": wilson(result.right, result.total)[0],
            "high": wilson(result.right, result.total)[1],
            "groups": {name: {"right": right, "total": total} for name, (right, total) in result.groups.items()},
        }
        for result in results
    }
