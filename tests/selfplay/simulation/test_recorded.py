"""Latencies read back from a run's telemetry that was written with known ones."""

from pathlib import Path

import pytest

from configs.errors import UserError
from configs.schema import RunConfig
from configs.system_sections import GeneratorsSection, PipelineSection
from selfplay.simulation.engine import Speed, makespan
from selfplay.simulation.recorded import read_latencies
from tasks.records import Kind, Role
from telemetry.jsonl import JsonlSink
from telemetry.records import AttemptRow, Phase, ProposalRow, StepRecord

STEP_S, SEQUENCE_S, SLOTS = 0.03, 0.004, 8
TIMES = {"references": 0.1, "verify": 0.4, "judge": 0.6, "update": 2.0, "publish": 0.2, "buffer": 0.05, "metrics": 0.01}


def proposal(step: int, index: int) -> ProposalRow:
    return ProposalRow(
        step=step, version=step, kind="deduction", role="propose", proposal_id=f"p{step}-{index}", references="", prompt="",
        text="x" * (3 + index % 4), status="admitted", reason="ok", solve_rate=None, reward=None, advantage=None,
    )  # fmt: skip


def attempt(step: int, index: int, num_tokens: int) -> AttemptRow:
    return AttemptRow(
        step=step, version=step, kind="deduction", role="solve", attempt_id=f"a{step}-{index}", task_id="t", prompt="",
        text="", status="right", reason="ok", reward=1.0, advantage=0.0, num_tokens=num_tokens, truncated=False,
        mean_logprob=0.0, trained=True,
    )  # fmt: skip


def write_run(folder: Path, num_steps: int, **extra: float) -> None:
    """Proposals of twice as many tokens as characters; stages as long as an engine of known speed takes for each half."""
    speed, sink = Speed(step_s=STEP_S, sequence_s=SEQUENCE_S, slots=SLOTS), JsonlSink(folder)
    for step in range(1, num_steps + 1):
        proposals = [proposal(step, index) for index in range(16)]
        sizes = [2.0 * (len(row.text) + 1) for row in proposals]
        attempts = [attempt(step, index, 2 + (7 * index + step) % 11) for index in range(40)]
        solved = [float(row.num_tokens) for row in attempts]
        times = {
            **TIMES,
            "propose": max(makespan(speed, sizes[:8]), makespan(speed, sizes[8:])),
            "solve": max(makespan(speed, solved[:20]), makespan(speed, solved[20:])),
            "evaluate": 100.0,
        }
        scalars = {f"time/{name}": seconds for name, seconds in times.items()} | {"time/step": sum(times.values())}
        scalars |= {"counts/proposed": 16, "counts/attempted": 40, "valid/deduction": 0.75}
        scalars |= {"length/deduction/propose": sum(sizes) / 16, "tokens/step": sum(sizes) + sum(solved), **extra}
        sink.write(
            StepRecord(
                global_step=step, phase=Phase.SELF_PLAY, step=step, version=step, scalars=scalars, proposals=tuple(proposals),
                attempts=tuple(attempts),
            )
        )  # fmt: skip
    sink.close()


def run_of(staleness: int = 0) -> RunConfig:
    generators = GeneratorsSection(count=2, max_num_seqs=SLOTS)
    return RunConfig(generators=generators, pipeline=PipelineSection(staleness=staleness))


def test_a_synchronous_run_gives_back_the_engine_s_speed_and_the_learner_s_times(tmp_path: Path) -> None:
    write_run(tmp_path, 8)
    recorded = read_latencies(tmp_path, run_of())
    latencies = recorded.latencies
    assert latencies.speed.step_s == pytest.approx(STEP_S, rel=0.25)
    assert latencies.speed.sequence_s == pytest.approx(SEQUENCE_S, rel=0.25)
    assert latencies.update_s == (2.0,) * 8
    assert latencies.verify_s[0] == pytest.approx(0.4 / 16)
    assert latencies.grade_s[0] == pytest.approx(0.6 / 40)
    assert latencies.publish_s[0] + latencies.speed.load_s == pytest.approx(0.2)
    assert latencies.admitted[Kind.DEDUCTION] == 0.75
    assert set(latencies.tokens[Kind.DEDUCTION, Role.PROPOSE]) == {8.0, 10.0, 12.0, 14.0}
    assert recorded.step_s < 100  # the evaluation is left out


def test_an_asynchronous_run_gives_the_rate_of_its_generators_and_says_when_they_were_not_what_was_waited_for(
    tmp_path: Path,
) -> None:
    write_run(tmp_path, 4, **{"time/wait": 0.0, "time/step": 110.0, "generators/alive": 2, "generators/pause_s": 0.3})
    recorded = read_latencies(tmp_path, run_of(staleness=1))
    tokens = sum(map(sum, recorded.latencies.tokens.values())) / 4
    assert recorded.latencies.speed.step_s == 0
    assert recorded.latencies.speed.sequence_s == pytest.approx(2 * 10 / tokens, rel=0.01)
    assert recorded.latencies.speed.load_s == pytest.approx(0.3)
    assert any("waited 0% of a step" in note for note in recorded.notes)


def test_a_run_that_has_not_played_is_refused(tmp_path: Path) -> None:
    JsonlSink(tmp_path).close()
    with pytest.raises(UserError, match="has no self-play steps"):
        read_latencies(tmp_path, run_of())
