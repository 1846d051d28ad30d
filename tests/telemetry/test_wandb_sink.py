import io
import json
import pickle
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import wandb
import wandb.errors
from hypothesis import given
from hypothesis import strategies as st

from configs.schema import RunConfig
from telemetry.hub import TelemetryHub
from telemetry.jsonl import COLUMNS
from telemetry.records import Phase, StepRecord
from telemetry.wandb_sink import OWN_STATISTICS, WandbSink, is_due, spread
from telemetry.wandb_writer import END_S, WandbWriter
from tests.telemetry.fake_wandb import FakeWandbServer
from tests.telemetry.wandb_files import read_session, sessions_of

Records = Callable[..., StepRecord]
Configs = Callable[..., RunConfig]

# A run that is killed with SIGKILL: warm start 1-2, self-play 3-6, checkpoint imagined at 4.
KILLED_RUN = """
import os, pickle, signal, sys, time
from pathlib import Path
from telemetry.hub import TelemetryHub
run_dir, config, records = pickle.loads(Path(sys.argv[1]).read_bytes())
hub = TelemetryHub(run_dir, config, resume_global_step=None, wandb_run_id="run1", console=False)
while not hub._wandb.directory:  # W&B starts beside the run
    time.sleep(0.05)
for record in records:
    hub.emit(record)
time.sleep(float(sys.argv[2]))
os.kill(os.getpid(), signal.SIGKILL)
"""

# A run whose W&B service is killed after the first record.
LOST_SERVICE = """
import json, pickle, psutil, sys
from pathlib import Path
from telemetry.wandb_sink import WandbSink
run_dir, config, records = pickle.loads(Path(sys.argv[1]).read_bytes())
told = []
sink = WandbSink(run_dir, config, run_id="run2", warn=told.append)
sink.open()
sink.write(records[0])
assert not told
for child in psutil.Process().children(recursive=True):
    child.kill()
    child.wait(10)
for record in records[1:]:
    sink.write(record)
sink.close("finished", {})
print(json.dumps([sink.failures, told]))
"""

# A whole life of a sink: W&B's own hooks at the exit are part of it.
OPENED_AND_CLOSED = """
import pickle, sys
from pathlib import Path
from telemetry.wandb_sink import WandbSink
run_dir, config, records = pickle.loads(Path(sys.argv[1]).read_bytes())
sink = WandbSink(run_dir, config, run_id="run8", warn=print)
sink.open()
sink.write(records[0])
sink.close("finished", {})
"""


def opened(run_dir: Path, config: RunConfig, run_id: str, warn: Callable[[str], None]) -> WandbSink:
    sink = WandbSink(run_dir, config, run_id=run_id, warn=warn)
    sink.open()
    return sink


def run_and_kill(tmp_path: Path, run_dir: Path, config: RunConfig, records: Sequence[StepRecord], wait_s: float) -> None:
    handover = tmp_path / "handover"
    handover.write_bytes(pickle.dumps((run_dir, config, records)))
    done = subprocess.run([sys.executable, "-c", KILLED_RUN, str(handover), str(wait_s)], timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize(("wait_s", "lost"), [(0.0, True), (3.0, False)])  # W&B writes its file once a second
def test_offline_run_keeps_one_id_one_clock_and_all_rows_over_a_kill_and_a_resume(
    wait_s: float, lost: bool, tmp_path: Path, make_record: Records, make_config: Configs
) -> None:
    run_dir, config = tmp_path / "tiny-s3", make_config("offline")
    first = [make_record(step, Phase.WARM_START) for step in (1, 2)] + [make_record(3, accuracy=0.4)]
    run_and_kill(tmp_path, run_dir, config, [*first, *(make_record(step) for step in (4, 5, 6))], wait_s)
    [killed] = sessions_of(run_dir)
    assert (len(read_session(killed).history) < 6) == lost
    hub = TelemetryHub(run_dir, config, resume_global_step=4, wandb_run_id="run1", console=False)
    for step in (5, 6, 7, 8):
        hub.emit(make_record(step, accuracy=0.6 if step == 8 else None))
    hub.close("finished", {"final/deduction": 0.6})

    paths = sessions_of(run_dir)
    files = [read_session(path) for path in paths]
    assert {file.run_id for file in files} <= {"run1", ""}  # "" when the kill came before anything was written
    assert files[1].run_id == "run1"
    assert files[1].config["seed"] == 3
    assert files[1].config["git"].keys() == {"commit", "dirty"}

    history = [row for file in files for row in file.history]
    assert [row["_step"] for row in history] == [1, 2, 3, 4, 5, 6, 7, 8]  # whatever the kill cost is made up
    assert [row["global_step"] for row in history] == [row["_step"] for row in history]
    assert history[7]["eval/deduction/accuracy"] == 0.6

    expected_steps = {"proposals": [4, 6, 8], "attempts": [4, 6, 8], "tasks": [4, 6, 8], "eval": [3, 8]}
    for name, expected in expected_steps.items():
        logged = [row for file, path in zip(files, paths, strict=True) for row in file.tables(name, path)]
        assert sorted({row[0] for row in logged}) == expected, name
        summary = files[1].summary[name]
        assert summary["nrows"] == len(logged), f"the summary's {name} must hold the whole history"
    assert files[1].summary["final/deduction"] == 0.6
    assert files[1].summary["status"] == "finished"
    assert any(name.startswith("tables-run1") for name in files[1].artifacts)


@pytest.mark.slow
def test_loss_of_the_wandb_service_is_told_once_and_the_run_goes_on(
    tmp_path: Path, make_record: Records, make_config: Configs
) -> None:
    handover = tmp_path / "handover"
    handover.write_bytes(pickle.dumps((tmp_path, make_config("offline"), [make_record(step) for step in range(1, 6)])))
    command = [sys.executable, "-c", LOST_SERVICE, str(handover)]
    done = subprocess.run(command, timeout=120, check=True, capture_output=True, text=True)
    failures, told = json.loads(done.stdout.splitlines()[-1])
    assert 6 <= failures <= 7  # four records (the first may go into a socket not known to be closed), summary, finish, stop
    assert len(told) == 1
    assert re.match("W&B could not log: .*[Cc]onnection .*; the run goes on", told[0])
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "error", [wandb.errors.CommError("no network"), OSError(28, "No space left on device"), TimeoutError("late")]
)
def test_wandb_that_cannot_start_does_not_stop_the_run(
    tmp_path: Path, make_record: Records, make_config: Configs, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(wandb, "init", fail)
    told: list[str] = []
    sink = opened(tmp_path, make_config("online"), "run3", told.append)
    sink.write(make_record(1))
    sink.close("finished", {})
    assert sink.failures == 2  # online, then offline
    assert len(told) == 1
    assert "W&B could not start" in told[0]


@pytest.fixture
def online(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody is logged in, to a server at a port where nothing listens."""
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["refuses", "is silent", "nobody is logged in"])
def test_online_run_that_reaches_nobody_is_recorded_offline_at_once(
    tmp_path: Path,
    make_record: Records,
    make_config: Configs,
    monkeypatch: pytest.MonkeyPatch,
    online: None,
    trouble: str,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        if trouble == "is silent":
            monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        if trouble == "nobody is logged in":
            monkeypatch.delenv("WANDB_API_KEY")
            monkeypatch.setattr("sys.stdin", io.StringIO())
        wandb.teardown()  # what an earlier test made of the environment
        told: list[str] = []
        begun = time.monotonic()
        sink = opened(tmp_path, make_config("online"), "run5", told.append)
        waited_s = time.monotonic() - begun
    sink.write(make_record(1))
    sink.close("finished", {})
    assert waited_s < 60, "the probe gives up after 5 s; the rest is W&B's service, started twice on a busy machine"
    assert len(told) == 1
    assert "does not answer" in told[0]
    [session] = sessions_of(tmp_path)
    assert [row["_step"] for row in read_session(session).history] == [1]


@pytest.mark.slow
def test_a_server_that_does_not_answer_the_probe_is_asked_nothing_more(
    tmp_path: Path, make_record: Records, make_config: Configs, monkeypatch: pytest.MonkeyPatch, online: None
) -> None:
    handover = tmp_path / "handover"
    handover.write_bytes(pickle.dumps((tmp_path, make_config("online"), [make_record(1)])))
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.delenv(OWN_STATISTICS, raising=False)  # an earlier test's sink has set it here
        subprocess.run([sys.executable, "-c", OPENED_AND_CLOSED, str(handover)], timeout=120, check=True)
        silent.settimeout(0)
        silent.accept()[0].close()  # the probe
        with pytest.raises(BlockingIOError):
            silent.accept()  # each connection is one that the process waited for


@pytest.mark.slow
def test_a_server_that_falls_silent_costs_the_run_nothing(
    tmp_path: Path, make_record: Records, make_config: Configs, monkeypatch: pytest.MonkeyPatch, online: None
) -> None:
    server = FakeWandbServer()
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    wandb.teardown()
    told: list[str] = []
    try:
        sink = WandbSink(tmp_path, make_config("online", tables_every=1), run_id="run6", warn=told.append)
        writer = WandbWriter(sink, told.append, patience_s=5.0)
        until = time.monotonic() + 60
        while not sink.directory and time.monotonic() < until:
            time.sleep(0.05)
        assert sink.directory, "the server was there"
        assert not told
        writer.write(make_record(1))
        server.fall_silent()
        seconds = []
        for step in range(2, 200):
            begun = time.perf_counter()
            writer.write(make_record(step, accuracy=0.5))
            seconds.append(time.perf_counter() - begun)
        begun = time.monotonic()
        writer.close("finished", {})
        closed_s = time.monotonic() - begun
    finally:
        server.close()
    assert max(seconds) < 0.5, "a write is a place in a queue"
    assert closed_s < 5.0 + END_S + 5.0
    assert told


@pytest.mark.slow
def test_what_a_run_was_made_with_is_in_its_configuration(tmp_path: Path, make_config: Configs) -> None:
    facts = {"commit": "abc", "dirty": True, "packages": {"ray": "2.60.0"}, "host": "h", "starts": [1], "argv": ["azr"]}
    (tmp_path / "environment.json").write_text(json.dumps(facts))
    opened(tmp_path, make_config("offline"), "run7", pytest.fail).close("finished", {})
    config = read_session(*sessions_of(tmp_path)).config
    assert config["git"] == {"commit": "abc", "dirty": True}
    assert config["environment"] == {"packages": {"ray": "2.60.0"}, "host": "h", "argv": ["azr"]}
    assert config["seed"] == 3


def test_disabled_wandb_leaves_no_trace(tmp_path: Path, make_record: Records, make_config: Configs) -> None:
    sink = opened(tmp_path, make_config("disabled"), "run4", pytest.fail)
    sink.write(make_record(1))
    sink.close("finished", {})
    assert not list(tmp_path.iterdir())


@given(st.lists(st.integers()), st.integers(1, 50))
def test_spread_keeps_the_order_and_the_limit(rows: list[int], limit: int) -> None:
    numbered = list(enumerate(rows))
    kept = spread(numbered, limit)
    assert len(kept) == min(limit, len(rows))
    assert kept == sorted(set(kept))


def test_spread_takes_rows_of_each_block() -> None:
    assert spread(["a"] * 10 + ["b"] * 10 + ["c"] * 10, 6) == ["a", "a", "b", "b", "c", "c"]


def test_rows_are_due_at_the_first_step_each_interval_and_every_evaluation() -> None:
    assert [step for step in range(1, 22) if is_due("attempts", step, 10)] == [1, 10, 20]
    assert is_due("evals", 7, 10)


def test_every_table_says_step_version_kind_and_role() -> None:
    assert all({"step", "version", "kind", "role"} <= set(columns) for columns in COLUMNS.values())
