"""Another number of generators for a run that goes on: `azr scale` asks, the run's driver carries it out and tells.

    azr scale ──RUN/scale.json──▶ driver (selfplay.pipeline.scaling) ──RUN/scale.jsonl──▶ azr scale

    scale.json     {"number": 3, "asked": 1764000000.0}                       the newest order; it holds for resumes as well
    scale.jsonl    {"time": …, "asked": …, "state": "going_on | done | short", "serving": 2, "line": "…"}

Invariant: both files are whole, or their last line is not there yet. The two processes need a common file system only.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cluster.console import say, say_json
from cluster.run_lock import holder
from configs.errors import ConfigError, UserError
from configs.loader import load_config
from configs.schema import RunConfig
from selfplay.pipeline.scaling import Change, Order
from telemetry.atomic import write_atomically

FILE, NEWS = "scale.json", "scale.jsonl"
LOOK_S = 0.25


class OrderFile:
    """The driver's side; implements `selfplay.pipeline.scaling.Orders`."""

    def __init__(self, run_dir: Path, warn: Callable[[str], None]) -> None:
        self._file, self._news, self._warn = run_dir / FILE, run_dir / NEWS, warn
        self._read_at = 0
        self._order: Order | None = None

    def newest(self) -> Order | None:
        try:
            changed_at = self._file.stat().st_mtime_ns
        except FileNotFoundError:
            return self._order
        if changed_at != self._read_at:
            self._read_at = changed_at
            try:
                self._order = _order(self._file)
            except (ValueError, KeyError, TypeError) as error:
                self._warn(f"{self._file} is damaged ({error}) and has no effect; ask again with `azr scale`")
        return self._order

    def tell(self, change: Change) -> None:
        self._warn(change.line)
        with self._news.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"time": time.time(), **asdict(change)}) + "\n")

    def sizes(self, config: RunConfig) -> tuple[RunConfig, RunConfig]:
        """What a run begins with, as not to hold up its start, and the most that it has use for."""
        order, count = self.newest(), config.generators.count
        wanted = order.number if order is not None else count
        return _sized(config, min(count, wanted)), _sized(config, max(count, wanted))


def scale_run(run_dir: Path, number: int, *, as_json: bool) -> None:
    """Returns once so many generators serve. UserError where they cannot, or have not within the run's deadlines."""
    config = _elastic(run_dir, number)
    begun, asked = time.monotonic(), time.time()
    news = _News(run_dir / NEWS)
    write_atomically(run_dir / FILE, json.dumps({"number": number, "asked": asked}) + "\n")
    timeout_s = config.cluster.placement_timeout_s + config.cluster.start_timeout_s
    lines: list[str] = []
    while (change := _last(news.read(), asked, lines, as_json)) is None:
        _check_going_on(run_dir)
        if time.monotonic() - begun > timeout_s:
            raise UserError(
                f"{run_dir} has not come to {number} generators within {timeout_s:g} s (cluster.placement_timeout_s + "
                f"cluster.start_timeout_s); the order stands, and {run_dir / NEWS} tells what happens"
            )
        time.sleep(LOOK_S)
    if as_json:
        told = {"run": str(run_dir), "number": number, "serving": change.serving, "state": change.state, "lines": lines}
        say_json({**told, "seconds": round(time.monotonic() - begun, 1)})
    if change.state == "short":
        raise UserError(f"{run_dir}: {change.line}; the order stands, `azr scale {max(1, change.serving)} {run_dir}` ends it")


def _elastic(run_dir: Path, number: int) -> RunConfig:
    """Its configuration; raises what keeps it from having another number of generators."""
    if number < 1:
        raise ConfigError(f"N must be at least 1, got {number}; end the run with Ctrl-C, or `ray job stop`, to have none")
    if not (run_dir / "config.yaml").is_file():
        raise UserError(f"{run_dir} is not a run directory (no config.yaml); `azr runs` lists them")
    config = load_config(str(run_dir / "config.yaml"))
    if not config.pipeline.staleness:
        raise UserError(
            f"{run_dir} is synchronous (pipeline.staleness=0), its number of generators is fixed while it goes on; end it, "
            f"and go on with generators.count={number}"
        )
    _check_going_on(run_dir)
    if "--local" in _arguments(run_dir):
        raise UserError(f"{run_dir} has everything in one process (--local); end it, and go on without --local")
    return config


def _check_going_on(run_dir: Path) -> None:
    who = holder(run_dir)
    if who is None or not who.alive:
        raise UserError(f"{run_dir} is not going on; start it with `azr train`, with generators.count as many as you want")


def _arguments(run_dir: Path) -> list[str]:
    """Of the newest start."""
    record: Any = json.loads((run_dir / "environment.json").read_text(encoding="utf-8"))
    return [str(word) for word in record["starts"][-1]["argv"]]


def _last(changes: Iterator[Change], asked: float, lines: list[str], as_json: bool) -> Change | None:
    """The end of this order, once it is told; its news until then are shown."""
    for change in changes:
        if change.asked > asked:
            raise UserError(f"another `azr scale` has asked for another number meanwhile: {change.line}")
        if change.asked == asked:
            lines.append(change.line)
            if not as_json:
                say(change.line)
            if change.state != "going_on":
                return change
    return None


class _News:
    """What the driver tells from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = path.stat().st_size if path.is_file() else 0

    def read(self) -> Iterator[Change]:
        if not self._path.is_file():
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                told = json.loads(line)
                yield Change(**{name: told[name] for name in ("asked", "state", "serving", "line")})


def _order(file: Path) -> Order:
    told = json.loads(file.read_text(encoding="utf-8"))
    return Order(number=max(1, int(told["number"])), asked=float(told["asked"]))


def _sized(config: RunConfig, count: int) -> RunConfig:
    return config.model_copy(update={"generators": config.generators.model_copy(update={"count": count})})
