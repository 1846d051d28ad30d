"""`azr audit`: the verdict, its exit code and its JSON, over runs in every state."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from buffers.buffers import TaskBuffers
from buffers.ledger import Event, Ledger
from cluster import cli
from cluster.run_directory import config_text
from configs.loader import load_config
from selfplay.checkpoint import RunState
from tasks.family import load_family
from tasks.records import Draft, Kind, Origin
from telemetry.jsonl import JsonlSink
from telemetry.records import AttemptRow, Phase, StepRecord, TaskRow
from telemetry.status import RunStatus, process_start, write_status
from verifier.verifier import FamilyVerifier

ATTEMPTS = ("warm-0@1#0", "warm-0@1#1")


def attempt_row(name: str) -> AttemptRow:
    return AttemptRow(
        step=1, version=0, kind="deduction", role="solve", attempt_id=name, task_id="warm-0", prompt="p", text="8",
        status="right", reason="ok", reward=1.0, advantage=0.5, num_tokens=2, truncated=False, mean_logprob=-0.1, trained=True,
    )  # fmt: skip


def make_run(path: Path, draft: Draft, status: str = "finished", pid: int = 0) -> Path:
    """A run of one step: two attempts at one task of the buffer, trained on."""
    config = load_config("smoke", [f"run.root={path}", "model.stand_in.warmup_steps=2"])
    verifier = FamilyVerifier("arithmetic", {}, config.verifiers)
    task = verifier.build([draft], Origin.GENERATED, 0, "warm")[0].task
    assert task is not None
    checkpoint = path / "checkpoints" / "step-000001"
    checkpoint.mkdir(parents=True)
    (path / "config.yaml").write_text(config_text(config))
    ledger = Ledger(path / "ledger")
    for event in (Event.ATTEMPTED, Event.JUDGED, Event.TRAINED):
        ledger.record(event, ATTEMPTS)
    state = RunState(step=1, global_step=3, ledger=ledger.seal())
    ledger.close()
    (checkpoint / "state.json").write_text(json.dumps(asdict(state)))
    buffers = TaskBuffers(list(Kind), 10)
    buffers.add([task], [0.5])
    buffers.snapshot(checkpoint / "buffers.json").write()
    row = TaskRow(
        step=1, version=0, kind=task.kind, role="solve", task_id="warm-0", program=task.program, origin="generated",
        pairs=json.dumps([[pair.input, pair.output] for pair in task.pairs]), difficulty=1.0, solve_rate=0.5, learnability=0.5,
        fingerprint=task.fingerprint,
    )  # fmt: skip
    sink = JsonlSink(path)
    sink.write(
        StepRecord(
            global_step=3, phase=Phase.SELF_PLAY, step=1, version=1, scalars={"counts/trained": 2.0},
            attempts=tuple(map(attempt_row, ATTEMPTS)), tasks=(row,),
        )
    )  # fmt: skip
    sink.close()
    write_status(path, RunStatus(status=status, pid=pid, pid_started=process_start(pid)))
    return path


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run", Draft(kind=Kind.DEDUCTION, program="a + b", inputs=("90, 97",)))


def told(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = cli.run(["audit", *argv])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_balanced_run_is_exit_0_and_its_json_is_the_last_line(capsys: pytest.CaptureFixture[str], clean: Path) -> None:
    code, out, err = told(capsys, str(clean), "--json")
    assert (code, err) == (0, "")
    counts = json.loads(out.splitlines()[-1])
    wanted = {"proposed": 0, "admitted": 0, "attempted": 2, "trained": 2, "dropped": 0, "lost": 0, "duplicated": 0}
    assert counts.items() >= wanted.items()


def test_what_is_lost_is_exit_1_with_its_ids(capsys: pytest.CaptureFixture[str], clean: Path) -> None:
    rows = clean / "telemetry" / "attempts.jsonl"
    rows.write_text(rows.read_text().splitlines()[0] + "\n")
    code, out, err = told(capsys, str(clean), "--json")
    assert code == 1
    assert err.splitlines() == [f"lost: {ATTEMPTS[1]}"]
    assert json.loads(out.splitlines()[-1])["lost"] == 1


def test_what_is_duplicated_is_exit_1_with_its_ids(capsys: pytest.CaptureFixture[str], clean: Path) -> None:
    rows = clean / "telemetry" / "attempts.jsonl"
    rows.write_text(rows.read_text() * 2)
    code, _, err = told(capsys, str(clean))
    assert code == 1
    assert err.splitlines() == [f"duplicated: {name}" for name in ATTEMPTS]


def test_a_run_that_goes_on_is_said_to_and_its_work_is_in_flight(capsys: pytest.CaptureFixture[str], clean: Path) -> None:
    write_status(clean, RunStatus(status="running", pid=os.getpid(), pid_started=process_start(os.getpid())))
    ledger = Ledger(clean / "ledger", 2)
    ledger.record(Event.ATTEMPTED, ["warm-0@2#0"])
    code, out, _ = told(capsys, str(clean), "--json")
    ledger.close()
    assert code == 0
    assert "going on" in out.splitlines()[0]
    assert json.loads(out.splitlines()[-1])["in_flight"] == 1


def test_a_run_that_was_killed_is_audited_up_to_its_checkpoint(capsys: pytest.CaptureFixture[str], clean: Path) -> None:
    write_status(clean, RunStatus(status="running", pid=2**22 + 1, pid_started=1.0))
    ledger = Ledger(clean / "ledger", 2)
    ledger.record(Event.ATTEMPTED, ["warm-0@2#0"])
    ledger.close()
    code, out, _ = told(capsys, str(clean), "--json")
    assert code == 0
    assert "interrupted, audited up to step 1" in out.splitlines()[0]
    assert json.loads(out.splitlines()[-1])["attempted"] == 2


def test_damage_is_one_line_that_names_the_file(capsys: pytest.CaptureFixture[str], clean: Path) -> None:
    path = clean / "ledger" / "segment-000001.jsonl"
    path.write_bytes(path.read_bytes().replace(b"trained", b"dropped"))
    code, _, err = told(capsys, str(clean))
    assert code == 1
    assert len(err.splitlines()) == 1
    assert "segment-000001.jsonl is damaged at byte" in err


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_what_is_no_run_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    code, _, err = told(capsys, str(tmp_path / name))
    assert code == 1
    assert "is not a run directory" in err


def test_a_clean_run_has_met_nothing_that_is_held_out(capsys: pytest.CaptureFixture[str], clean: Path) -> None:
    code, out, err = told(capsys, str(clean), "--contamination", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out.splitlines()[-1])
    assert found["contaminated"] == {"buffers": 0, "trained": 0, "warm_start": 0}
    assert found["checked"]["buffers"] == found["checked"]["trained"] == 1
    assert found["checked"]["warm_start"] > 10


@pytest.mark.parametrize("kind", [Kind.DEDUCTION, Kind.ABDUCTION])
def test_a_held_out_problem_in_the_buffer_and_in_training_is_exit_1_with_its_task(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, kind: Kind
) -> None:
    problem = load_family("arithmetic", {}).heldout()["deduction"][0]
    run = make_run(tmp_path / "run", Draft(kind=kind, program=problem.program, inputs=problem.inputs))
    code, _, err = told(capsys, str(run), "--contamination")
    assert code == 1
    form = "deduction" if kind is Kind.DEDUCTION else "deduction as abduction"
    assert err.splitlines() == [f"held out: warm-0 in {place} ({form})" for place in ("buffers", "trained")]
