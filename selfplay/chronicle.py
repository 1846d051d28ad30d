"""What a run remembers from step to step and tells of it: state, ledger, telemetry, checkpoints.

    a step is done ──▶ telemetry ──▶ ledger sealed ──▶ checkpoint begun, where one is due

The order makes a resume exact: a kill between two of these repeats steps, and telemetry and the ledger go back to where the
newest checkpoint stands. Serves the synchronous loop and the pipeline. Does not: play a step, compute a metric.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from buffers.ledger import FOLDER, Ledger
from configs.schema import RunConfig
from learner.advantages import Estimator
from selfplay.accounts import Accounts
from selfplay.checkpoint import Checkpoints, RunState
from selfplay.evaluate import gap
from selfplay.hard_items import hard_scalars
from selfplay.items import SuiteResult
from selfplay.judge import Judged
from selfplay.metrics import attempt_rows, proposal_rows, task_rows
from selfplay.propose import Proposed
from selfplay.protocols import Buffers, Learner, Telemetry
from selfplay.schedule import is_over
from selfplay.seeding import SeedingRound
from selfplay.solve import Solved
from tasks.family import Family
from telemetry.records import Phase, StepRecord
from telemetry.stopwatch import Stopwatch

RANKING_SUITE = "deduction"  # its accuracy chooses the best checkpoint, where the suite exists


class Step(Protocol):
    """What telemetry tells of a step."""

    @property
    def proposed(self) -> Sequence[Proposed]: ...

    @property
    def solved(self) -> Sequence[Solved]: ...

    @property
    def judged(self) -> Judged: ...

    @property
    def num_tokens(self) -> int: ...


class Chronicle:
    """One run's. `state` is replaced by who plays the steps; `watch` measures the step that is going on.

    What telemetry and checkpoints take is in the next step's ledger of time.
    """

    def __init__(
        self,
        config: RunConfig,
        family: Family,
        run_dir: Path,
        learner: Learner,
        buffers: Buffers,
        telemetry: Telemetry,
        global_step: int,
    ) -> None:
        self._config, self._family = config, family
        self._learner, self._buffers, self._telemetry = learner, buffers, telemetry
        self._checkpoints = Checkpoints(run_dir, config.run.keep_checkpoints, config.cluster.call_timeout_s)
        self._folder = run_dir / FOLDER
        self._ledger: Ledger | None = None
        self.state = RunState(global_step=global_step)
        self.watch = Stopwatch()

    @property
    def is_over(self) -> bool:
        return is_over(self._config.run, self.state.step, self.state.tokens)

    @property
    def accounts(self) -> Accounts:
        return Accounts(self._opened())

    def resume(self, estimator: Estimator) -> bool:
        """Takes up the newest checkpoint; False where there is none, and the run begins."""
        found = self._checkpoints.newest()
        if found is not None:
            path, self.state = found
            self._learner.load(path.absolute())
            self._buffers.load(path.absolute() / "buffers.json")
            estimator.restore(self.state.baselines)
        self._ledger = Ledger(self._folder, self.state.ledger)
        self._ledger.withdraw()
        return found is not None

    def seeded(self, seeding: SeedingRound) -> None:
        """Tells of a round of the seeding phase."""
        self.accounts.seeded(seeding.proposals)
        self.state = replace(self.state, global_step=self.state.global_step + 1)
        scalars = {f"seeding/{kind}/proposed": float(count) for kind, count in seeding.proposed.items()}
        scalars |= {f"seeding/{kind}/generated": float(count) for kind, count in seeding.generated.items()}
        scalars |= {f"buffer/{kind}": float(size) for kind, size in seeding.sizes.items()}
        self._telemetry.emit(
            StepRecord(
                global_step=self.state.global_step,
                phase=Phase.SEEDING,
                step=seeding.number,
                version=self.state.version,
                scalars=scalars,
                proposals=proposal_rows(seeding.proposals, (), None),
            )
        )

    def finished(self, scalars: Mapping[str, float], results: Sequence[SuiteResult], step: Step | None = None) -> None:
        """Tells of the step that `state` counts already (None: what comes before the first) and checkpoints where due.

        Raises what went wrong in the writing of the checkpoint before.
        """
        self._checkpoints.check()
        self.state = replace(self.state, global_step=self.state.global_step + 1)
        told = dict(scalars) | gap(results) | hard_scalars(self._family, results, self._config.evaluation.hard_items)
        for result in results:
            told |= result.scalars()
            if result.name == RANKING_SUITE:
                self.state = _ranked(self.state, result.right / result.total)
        seconds, spans = self.watch.seconds(), self.watch.spans()
        self.watch = Stopwatch()
        told |= {f"time/{stage}": value for stage, value in seconds.items()} | {"tokens/total": float(self.state.tokens)}
        if step:
            told |= {"tokens/step": step.num_tokens, "tokens/per_s": step.num_tokens / seconds["step"]}
        with self.watch.stage("telemetry"):
            self._telemetry.emit(replace(self._record(told, results, step), spans=spans))
        if self._is_checkpoint_due():
            with self.watch.stage("checkpoint"):
                self.state = replace(self.state, ledger=self._opened().seal())
                self._checkpoints.save(self.state, self._learner, self._buffers)

    def wait(self) -> None:
        """For the last checkpoint; raises what went wrong in its writing."""
        self._checkpoints.wait()

    def close(self) -> None:
        """Lets a checkpoint that is being written come to its end, whatever ends the run."""
        self._checkpoints.close()
        if self._ledger is not None:
            self._ledger.close()

    def _is_checkpoint_due(self) -> bool:
        """By number, at the end, and whenever an evaluation was the best so far: what ranks best is there to be kept."""
        step = self.state.step
        return self.is_over or step % self._config.run.checkpoint_every == 0 or step == self.state.best_step

    def _record(self, scalars: Mapping[str, float], results: Sequence[SuiteResult], step: Step | None) -> StepRecord:
        state = self.state
        return StepRecord(
            global_step=state.global_step,
            phase=Phase.SELF_PLAY,
            step=state.step,
            version=state.version,
            scalars=scalars,
            proposals=proposal_rows(step.proposed, step.solved, step.judged) if step else (),
            attempts=attempt_rows(step.solved, step.judged) if step else (),
            tasks=task_rows(step.solved, state.step, state.version) if step else (),
            evals=tuple(row for result in results for row in result.rows),
        )

    def _opened(self) -> Ledger:
        assert self._ledger is not None, "resume comes first"
        return self._ledger


def _ranked(state: RunState, accuracy: float) -> RunState:
    better = accuracy > state.best_accuracy
    return replace(
        state,
        best_step=state.step if better else state.best_step,
        best_accuracy=accuracy if better else state.best_accuracy,
    )
