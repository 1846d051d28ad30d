"""How much of the ideal speed-up the asynchronous pipeline reaches over the synchronous loop, on the same work.

    speed-up = synchronous seconds a step ÷ asynchronous seconds a step
    ideal    = synchronous seconds a step ÷ the longer of its generating and its learning: all else is hidden behind that

sleep: real loops, buffers, verifier, ledger and event log; every answer and every update takes fixed seconds of sleep, so
that the figure is of the control plane alone. real: two runs of the whole program with every part real, one after the other;
generators and learner compete for the machine's cores, which the ideal knows nothing of. The first steps, in which the
pipeline fills, and the last, which evaluates, are not counted. Does not measure: several generators, checkpoints.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from benchmarks.learner import commit, machine
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
from tasks.records import Kind, Role
from telemetry.jsonl import read_records
from telemetry.records import Phase, StepRecord
from verifier.verifier import FamilyVerifier

GENERATE_S, LEARN_S = 0.5, 0.5  # a step's sleep: as much of one as of the other, where overlap gains most
SKIPPED = 3
STALENESS = 2
RUN_TIMEOUT_S = 3600.0


@dataclass(slots=True)
class Records:
    """Telemetry that keeps what the steps say."""

    steps: list[StepRecord] = field(default_factory=list)

    def emit(self, record: StepRecord) -> None:
        self.steps.append(record)


def sleep_config(steps: int, staleness: int) -> RunConfig:
    return RunConfig(
        tasks_per_kind=8,
        run=RunSection(steps=steps, checkpoint_every=10**6),
        buffers=BuffersSection(seed_size=16, seed_rounds=0),
        solver=SolverSection(attempts=8),
        evaluation=EvaluationSection(every=10**6),
        pipeline=PipelineSection(staleness=staleness),
    )


def sleep_steps(steps: int, staleness: int) -> list[StepRecord]:
    """A run of the sleeping parts."""
    config, records = sleep_config(steps, staleness), Records()
    family = load_family(config.family.name, {})
    verifier = FamilyVerifier(config.family.name, {}, VerifiersSection())
    proposals = sum(config.num_fresh(kind) * config.proposer.oversample for kind in config.family.kinds)
    attempts = sum(config.num_tasks(kind) * config.solver.attempts for kind in config.family.kinds)
    # Half of GENERATE_S goes to a step's proposals, half to its attempts, one request after the other.
    speed, tokens = Speed(step_s=GENERATE_S / 2 / proposals / attempts), {Role.PROPOSE: attempts, Role.SOLVE: proposals}
    buffers = TaskBuffers(list(Kind), config.buffers.capacity, family_traits(family))
    others = {"verifier": verifier, "buffers": buffers, "learner": SimulatedLearner(LEARN_S), "telemetry": records}
    with tempfile.TemporaryDirectory() as folder:
        if staleness:
            streaming = Router(
                {"simulated": SimulatedGenerator("simulated", speed, lambda asked: tokens[asked.role])}, config.pipeline
            )
            AsyncSelfPlay(config, family, StreamingParts(generator=streaming, **others), Path(folder)).run()  # type: ignore[arg-type]
        else:
            in_turns = SimulatedGenerators(1, speed, lambda asked: tokens[asked.role])
            SelfPlay(config, family, Parts(generator=in_turns, **others), Path(folder)).run()  # type: ignore[arg-type]
    verifier.close()
    return records.steps


def real_steps(steps: int, staleness: int, root: Path, overrides: Sequence[str]) -> list[StepRecord]:
    """A run of the whole program; the warm start is shared through `root`."""
    fixed = (f"run.root={root}", f"run.name=staleness-{staleness}", f"run.steps={steps}", f"pipeline.staleness={staleness}")
    quiet = ("evaluation.every=1000000", "run.checkpoint_every=1000000", "telemetry.wandb=disabled", "cluster.address=local")
    command = [sys.executable, "-m", "cluster.train", "configs/smoke.yaml", *fixed, *quiet, *overrides]
    cache = f"model.stand_in.cache={root / 'cache'}"
    subprocess.run([*command, cache], check=True, timeout=RUN_TIMEOUT_S, stdout=subprocess.DEVNULL)
    return list(read_records(root / f"staleness-{staleness}"))


def compare(in_turns: Sequence[StepRecord], overlapped: Sequence[StepRecord]) -> dict[str, float]:
    """Of the same work, once in turns and once overlapped."""
    sync, fast = _counted(in_turns), _counted(overlapped)
    sync_s, async_s = _seconds(sync, "step"), _seconds(fast, "step")
    longest_s = max(_seconds(sync, "propose") + _seconds(sync, "solve"), _seconds(sync, "update"))
    return {
        "share_of_ideal": round(longest_s / async_s, 3),
        "speed_up": round(sync_s / async_s, 3),
        "ideal": round(sync_s / longest_s, 3),
    }


def _counted(records: Sequence[StepRecord]) -> list[StepRecord]:
    return [record for record in records if record.phase is Phase.SELF_PLAY and record.step][SKIPPED:-1]


def _seconds(records: Sequence[StepRecord], name: str) -> float:
    return fmean(record.scalars.get(f"time/{name}", 0.0) for record in records)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overlap", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one line of JSON only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=20, help="of each run")
    parser.add_argument("--sleep-only", action="store_true", help="leave out the real variant, which takes minutes")
    parser.add_argument("overrides", nargs="*", help="of the real variant's configuration, as in tasks_per_kind=16")
    options = parser.parse_args(argv)
    result = {"sleep": compare(sleep_steps(options.steps, 0), sleep_steps(options.steps, STALENESS))}
    if not options.sleep_only:
        with tempfile.TemporaryDirectory() as folder:
            given = [f"seed={options.seed}", *options.overrides]
            runs = [real_steps(options.steps, staleness, Path(folder), given) for staleness in (0, STALENESS)]
        result["real"] = compare(*runs)
    if not options.json:
        for variant, figures in result.items():
            for name, value in figures.items():
                sys.stdout.write(f"{variant:>6} {name:>16}  {value}\n")
    shares = {f"{variant}_share_of_ideal": figures["share_of_ideal"] for variant, figures in result.items()}
    provenance = {"machine": machine(), "commit": commit(), "seed": options.seed}
    sys.stdout.write(json.dumps({**shares, **result, **provenance}) + "\n")


if __name__ == "__main__":
    main()
