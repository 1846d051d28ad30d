"""How well the control plane keeps up with more generators: the real pipeline in one process over 1 … 64 sleeping ones.

    efficiency(N) = rollouts a second with N generators ÷ (N × those with one)

Loops, router, buffers, verifier, ledger, event log and telemetry's rows are real; an engine answers by sleeping, so that N of
them need no more of the machine than one. Each generator gives RATE rollouts a second, and a step has work for as many
seconds whatever N is (weak scaling); the learner sleeps for less, so that the generators are the bottleneck. All runs are of
one process, one after the other; the steps in which the pipeline fills and the last are not counted. `cpu_ms_per_rollout` is
what the control plane spends: 1000 ÷ it is the rate at which one core would be full. Does not measure: engines, transport to
actors, memory.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.learner import commit, machine
from benchmarks.overlap import Records
from buffers.buffers import TaskBuffers
from buffers.census import family_traits
from configs.play_sections import BuffersSection, SolverSection
from configs.schema import RunConfig
from configs.system_sections import EvaluationSection, PipelineSection, RunSection, VerifiersSection
from selfplay.loop import Parts, SelfPlay
from selfplay.pipeline.protocols import StreamingParts
from selfplay.pipeline.router import Router
from selfplay.pipeline.run import AsyncSelfPlay
from selfplay.simulation.engine import Speed
from selfplay.simulation.parts import SimulatedGenerator, SimulatedGenerators, SimulatedLearner
from tasks.family import load_family
from tasks.records import Kind
from telemetry.records import Phase, StepRecord
from verifier.verifier import FamilyVerifier

SIZES = (1, 2, 4, 8, 16, 32, 64)
RATE = 10.0  # rollouts a second of one generator: completions of 200 tokens at 2,000 tokens a second
SLOTS, TOKENS = 16, 20  # sequences of an engine, and tokens of a completion
LEARN_S = 0.5
STALENESS = 2
SKIPPED = 3


@dataclass(slots=True)
class Timed(Records):
    """Telemetry that also keeps when each step came, and the process' CPU seconds by then."""

    at: list[tuple[float, float]] = field(default_factory=list)

    def emit(self, record: StepRecord) -> None:
        self.steps.append(record)
        self.at.append((time.perf_counter(), time.process_time()))


def scaled_config(num: int, steps: int, seed: int, staleness: int = STALENESS) -> RunConfig:
    """30 rollouts a step for each generator."""
    return RunConfig(
        seed=seed,
        tasks_per_kind=num,
        run=RunSection(steps=steps, checkpoint_every=10**6),
        buffers=BuffersSection(seed_size=max(16, 2 * num), seed_rounds=0),
        solver=SolverSection(attempts=8),
        evaluation=EvaluationSection(every=10**6),
        pipeline=PipelineSection(staleness=staleness),
    )


def engine_speed(rate: float) -> Speed:
    return Speed(step_s=SLOTS / TOKENS / rate, slots=SLOTS)


def measure(config: RunConfig, num: int, rate: float) -> tuple[float, float]:
    """Rollouts a second, and CPU milliseconds of this process for each."""
    records, speed = Timed(), engine_speed(rate)
    family = load_family(config.family.name, {})
    verifier = FamilyVerifier(config.family.name, {}, VerifiersSection())
    others = {
        "verifier": verifier,
        "buffers": TaskBuffers(list(Kind), config.buffers.capacity, family_traits(family)),
        "learner": SimulatedLearner(LEARN_S),
        "telemetry": records,
    }
    try:
        with tempfile.TemporaryDirectory() as folder:
            if config.pipeline.staleness:
                names = [f"simulated-{index}" for index in range(num)]
                fleet = Router({name: SimulatedGenerator(name, speed, lambda _: TOKENS) for name in names}, config.pipeline)
                AsyncSelfPlay(config, family, StreamingParts(generator=fleet, **others), Path(folder)).run()  # type: ignore[arg-type]
            else:
                in_turns = SimulatedGenerators(num, speed, lambda _: TOKENS)
                SelfPlay(config, family, Parts(generator=in_turns, **others), Path(folder)).run()  # type: ignore[arg-type]
    finally:
        verifier.close()
    return _rates(records)


def _rates(records: Timed) -> tuple[float, float]:
    played = [index for index, record in enumerate(records.steps) if record.phase is Phase.SELF_PLAY and record.step]
    first, *counted = played[SKIPPED - 1 : -1]
    seconds, cpu_s = (after - before for before, after in zip(records.at[first], records.at[counted[-1]], strict=True))
    names = ("counts/proposed", "counts/attempted")
    rollouts = sum(records.steps[index].scalars[name] for index in counted for name in names)
    return rollouts / seconds, 1000 * cpu_s / rollouts


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one line of JSON only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=12, help="of each run")
    parser.add_argument("--rate", type=float, default=RATE, help="rollouts a second of one generator")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="numbers of generators; the first counts 1")
    options = parser.parse_args(argv)
    configs = {num: scaled_config(num, options.steps, options.seed) for num in options.sizes}
    measured = {num: measure(config, num, options.rate) for num, config in configs.items()}
    base = measured[options.sizes[0]][0] / options.sizes[0]
    efficiency = {str(num): round(per_s / num / base, 3) for num, (per_s, _) in measured.items()}
    if not options.json:
        for num, (per_s, cpu_ms) in measured.items():
            sys.stdout.write(
                f"{num:>4} generators  {per_s:8.1f} rollouts/s  {efficiency[str(num)]:.3f}  {cpu_ms:.2f} ms CPU each\n"
            )
    cpu = {str(num): round(cpu_ms, 3) for num, (_, cpu_ms) in measured.items()}
    result = {"efficiency": efficiency, "rate": options.rate, "cpu_ms_per_rollout": cpu}
    provenance = {"machine": machine(), "commit": commit(), "seed": options.seed}
    sys.stdout.write(json.dumps({**result, **provenance}) + "\n")


if __name__ == "__main__":
    main()
