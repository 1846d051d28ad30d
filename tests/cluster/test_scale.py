"""An order and its news between two processes: what is refused, what is waited for, and what is said in the end."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cluster.run_directory import config_text
from cluster.run_lock import run_lock
from cluster.scale import OrderFile, scale_run
from configs.errors import ConfigError, UserError
from configs.schema import RunConfig
from selfplay.pipeline.scaling import Change, Order

ConfigMaker = Callable[..., RunConfig]
Answer = Callable[[OrderFile, Order], None]


def run_in(folder: Path, config: RunConfig, *argv: str) -> Path:
    """What of a run directory the command reads."""
    run = folder / "run"
    run.mkdir()
    (run / "config.yaml").write_text(config_text(config))
    (run / "environment.json").write_text(json.dumps({"starts": [{"argv": ["azr", "train", *argv]}]}))
    return run


@contextmanager
def driver(run: Path, answer: Answer) -> Iterator[list[str]]:
    """Holds the run, and answers the first order that it finds; yields what it warns of."""
    warned: list[str] = []
    orders, stopped = OrderFile(run, warned.append), threading.Event()

    def drive() -> None:
        while not stopped.wait(0.02):
            order = orders.newest()
            if order is not None:
                answer(orders, order)
                return

    thread = threading.Thread(target=drive)
    with run_lock(run):
        thread.start()
        try:
            yield warned
        finally:
            stopped.set()
            thread.join()


def tell(state: Any, *lines: str, serving: int = 3) -> Answer:
    def answer(orders: OrderFile, order: Order) -> None:
        for line in lines[:-1]:
            orders.tell(Change(asked=order.asked, state="going_on", serving=1, line=line))
        orders.tell(Change(asked=order.asked, state=state, serving=serving, line=lines[-1]))

    return answer


def test_changes_are_shown_as_they_come_and_the_command_ends_with_the_last(
    tmp_path: Path, config_of: ConfigMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_in(tmp_path, config_of("pipeline.staleness=1"))
    lines = ["azr-generator-1 serves version 17 after 12.3 s", "2 generators serve"]
    OrderFile(run, lambda line: None).tell(Change(asked=1.0, state="done", serving=9, line="of an earlier order"))
    with driver(run, tell("done", *lines)) as warned:
        scale_run(run, 2, as_json=False)
    assert capsys.readouterr().out.splitlines() == lines == warned
    assert OrderFile(run, print).newest() == Order(number=2, asked=json.loads((run / "scale.json").read_text())["asked"])


def test_json_says_all_of_it_in_one_line(tmp_path: Path, config_of: ConfigMaker, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_in(tmp_path, config_of("pipeline.staleness=1"))
    with driver(run, tell("done", "a", "b")):
        scale_run(run, 3, as_json=True)
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert told.pop("seconds") >= 0
    assert told == {"run": str(run), "number": 3, "serving": 3, "state": "done", "lines": ["a", "b"]}


def test_what_cannot_be_done_for_now_is_an_error_that_says_how_to_take_it_back(tmp_path: Path, config_of: ConfigMaker) -> None:
    run = run_in(tmp_path, config_of("pipeline.staleness=1"))
    short = tell("short", "azr-generator-1 waits for room: CPU 1 needed, 0 available", "1 of 2 generators serve", serving=1)
    with driver(run, short), pytest.raises(UserError, match=r"1 of 2 generators serve; the order stands, `azr scale 1 "):
        scale_run(run, 2, as_json=False)


def test_an_order_that_is_overtaken_or_too_late_or_left_alone_ends_in_one_line(tmp_path: Path, config_of: ConfigMaker) -> None:
    deadlines = ("cluster.placement_timeout_s=0.2", "cluster.start_timeout_s=0.5")
    run = run_in(tmp_path, config_of("pipeline.staleness=1", *deadlines))

    def overtaken(orders: OrderFile, order: Order) -> None:
        orders.tell(Change(asked=order.asked + 1, state="going_on", serving=1, line="azr-generator-1 has ended"))

    with driver(run, overtaken), pytest.raises(UserError, match="another `azr scale` has asked"):
        scale_run(run, 2, as_json=False)
    with driver(run, lambda orders, order: None), pytest.raises(UserError, match=r"not come to 2 generators within 0\.7 s"):
        scale_run(run, 2, as_json=False)
    with pytest.raises(UserError, match="is not going on"):
        scale_run(run, 2, as_json=False)


def test_what_has_no_number_of_generators_to_change_is_refused(tmp_path: Path, config_of: ConfigMaker) -> None:
    with pytest.raises(UserError, match="is not a run directory"):
        scale_run(tmp_path, 2, as_json=False)
    for settings, argv, number, error, why in (
        (("pipeline.staleness=0",), (), 2, UserError, "is synchronous"),
        (("pipeline.staleness=1",), ("--local",), 2, UserError, "in one process"),
        (("pipeline.staleness=1",), (), 0, ConfigError, "N must be at least 1"),
    ):
        folder = tmp_path / why.replace(" ", "-")
        folder.mkdir()
        run = run_in(folder, config_of(*settings), *argv)
        with driver(run, lambda orders, order: None), pytest.raises(error, match=why):
            scale_run(run, number, as_json=False)
        assert not (run / "scale.json").exists(), "nothing was asked for"


def test_a_damaged_order_is_told_once_and_the_one_before_it_holds(tmp_path: Path) -> None:
    warned: list[str] = []
    orders = OrderFile(tmp_path, warned.append)
    assert orders.newest() is None
    (tmp_path / "scale.json").write_text('{"number": 3, "asked": 5.0}')
    assert orders.newest() == Order(number=3, asked=5.0)
    time.sleep(0.02)
    (tmp_path / "scale.json").write_text("{")
    assert [orders.newest(), orders.newest()] == [Order(number=3, asked=5.0)] * 2
    assert len(warned) == 1


def test_a_run_begins_with_what_is_surely_wanted_and_makes_room_for_all(tmp_path: Path, config_of: ConfigMaker) -> None:
    orders, config = OrderFile(tmp_path, print), config_of("generators.count=4")
    assert [size.generators.count for size in orders.sizes(config)] == [4, 4]
    (tmp_path / "scale.json").write_text('{"number": 2, "asked": 5.0}')
    assert [size.generators.count for size in orders.sizes(config)] == [2, 4]
    (tmp_path / "scale.json").write_text('{"number": 7, "asked": 6.0}')
    assert [size.generators.count for size in OrderFile(tmp_path, print).sizes(config)] == [4, 7]
