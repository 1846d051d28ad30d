"""`azr eval`: greedy accuracy of a model on held-out suites and data sets, or a check of the data's recorded answers.

Each suite is told as soon as it is done: a line, and a file of its items where `--out` is given. The JSON has all of them.
"""

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from transformers.utils.logging import disable_progress_bar

from cluster.console import say, say_json
from cluster.devices import check_engine
from cluster.eval_model import DEFAULT_CONFIG, ENGINES, find_source, open_engine, speaks_chat, with_room
from cluster.eval_suites import Chosen, Judges, Wanted, choose_suites
from cluster.model_source import check_model
from configs.errors import ConfigError, UserError
from configs.loader import load_config
from selfplay.answers import RIGHT
from selfplay.evaluate import NO_REFERENCE, evaluate, judge_references
from selfplay.items import ItemResult, SuiteResult
from telemetry.atomic import write_atomically
from telemetry.intervals import wilson

SHOWN_IDS = 5
WRONG = "value"  # the reason of an answer that was read and is not the one expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A suite that is done: what was asked, what came of it, and the file of its items."""

    chosen: Chosen
    result: SuiteResult
    file: Path | None


def evaluate_checkpoint(
    checkpoint: str, wanted: Wanted, *, engine: str, prompt_format: str, out: Path | None, as_json: bool
) -> None:
    if not checkpoint:
        raise ConfigError("checkpoint must be given: a run directory, checkpoint, model folder or Hugging Face name")
    source = find_source(checkpoint, engine, prompt_format)
    _prepare(out)
    with closing(Judges(source.config)) as judges:
        chosen = choose_suites(wanted, judges, lambda: speaks_chat(source.config))
        longest = max(len(item.prompt) + one.max_tokens for one in chosen for item in one.suite.items)
        config = with_room(source.config, longest)
        check_engine(config)
        check_model(config.model)
        disable_progress_bar()
        told = []
        with open_engine(config) as generator:
            for one in chosen:
                executor = one.verifier.executor if one.verifier else None
                [result] = evaluate(generator, one.verifier, {one.name: one.suite.items}, one.max_tokens, 0, executor)
                told.append(_tell(one, result, out))
    if as_json:
        say_json({"checkpoint": checkpoint, "model": source.model, "engine": engine, "suites": _as_json(told)})


def verify_references(checkpoint: str, wanted: Wanted, *, out: Path | None, as_json: bool) -> None:
    """Judges the answers that the data sets themselves record, without a model. UserError where one of them is not right.

    A checkpoint only says which run's configuration counts; it may be empty.
    """
    if not wanted.suites and not wanted.data:
        raise ConfigError("--references must come with --suite or --data: it checks the answers that they record")
    _prepare(out)
    config = find_source(checkpoint, ENGINES[0]).config if checkpoint else load_config(DEFAULT_CONFIG)
    with closing(Judges(config)) as judges:
        told = []
        for one in choose_suites(wanted, judges, lambda: True):
            executor = one.verifier.executor if one.verifier else None
            told.append(_tell(one, judge_references(one.name, one.suite.items, one.verifier, executor), out))
    if as_json:
        say_json({"checkpoint": checkpoint or None, "model": None, "engine": None, "suites": _as_json(told)})
    failed = [
        f"{one.result.name} {result.item.id} ({result.reason})"
        for one in told
        for result in one.result.results
        if not result.right and result.reason != NO_REFERENCE
    ]
    left_out = sum(len(ids) for one in told for ids in one.chosen.suite.left_out.values())
    if failed or left_out:
        raise UserError(
            f"{len(failed) + left_out} recorded answers do not hold: {', '.join(failed[:SHOWN_IDS]) or 'rows left out'}; "
            "is the data complete, and does `azr doctor` find the sandbox in order?"
        )


def _prepare(out: Path | None) -> None:
    """Before anything is asked: the folder of the items' files can be made."""
    if out is None:
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out must be a folder that can be written, got {out} ({error.strerror})") from error


def _tell(chosen: Chosen, result: SuiteResult, out: Path | None) -> Told:
    for reason, ids in chosen.suite.left_out.items():
        more = ", …" if len(ids) > SHOWN_IDS else ""
        say(f"{chosen.name}: {len(ids)} rows are left out ({reason}): {', '.join(ids[:SHOWN_IDS])}{more}")
    say(_line(result))
    unread = [f"{reason} {count}" for reason, count in result.reasons.items() if reason not in (RIGHT, WRONG)]
    if unread:
        say(f"{'':<28} not right because of {', '.join(unread)}")
    file = None
    if out is not None:
        file = out / f"{chosen.name}.jsonl"
        write_atomically(file, "".join(json.dumps(_item_dict(one)) + "\n" for one in result.results))
    return Told(chosen=chosen, result=result, file=file)


def _item_dict(result: ItemResult) -> dict[str, object]:
    return {
        "id": result.item.id,
        "prompt": result.item.prompt,
        "completion": result.completion.text,
        "expected": result.item.expected,
        "right": result.right,
        "reason": result.reason,
    }


def _line(result: SuiteResult) -> str:
    low, high = wilson(result.right, result.total)
    groups = "  ".join(f"{name} {right}/{total}" for name, (right, total) in result.groups.items())
    share = result.right / result.total
    return f"{result.name:<28} {share:6.1%} [{low:.1%}, {high:.1%}]  {result.right}/{result.total}  {groups}".rstrip()


def _as_json(told: Sequence[Told]) -> dict[str, object]:
    return {one.result.name: _suite_dict(one) for one in told}


def _suite_dict(told: Told) -> dict[str, object]:
    result = told.result
    low, high = wilson(result.right, result.total)
    return {
        "right": result.right,
        "total": result.total,
        "accuracy": result.right / result.total,
        "low": low,
        "high": high,
        "groups": {name: {"right": right, "total": total} for name, (right, total) in result.groups.items()},
        "reasons": result.reasons,
        "left_out": {reason: len(ids) for reason, ids in told.chosen.suite.left_out.items()},
        "max_tokens": told.chosen.max_tokens,
        "items": None if told.file is None else str(told.file),
    }
