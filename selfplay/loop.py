"""The self-play loop, synchronous: one joint update per step, always on the newest weights.

    propose ─▶ verify ─▶ solve ─▶ judge ─▶ update ─▶ publish ─▶ buffer
       ▲                                                          │
       └────────── references, programs ── task buffers ◀─────────┘

The loop knows its parts by the protocols alone: the same code runs in one process and on a cluster. All that it must
remember between two steps is `RunState`, which goes into the checkpoint with the learner and the buffers. A step is a
function of (configuration, state), so that a resumed run repeats the uninterrupted one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from buffers.census import Census
from configs.schema import RunConfig
from learner.advantages import make_estimator
from selfplay.checkpoint import Checkpoints, RunState
from selfplay.diversity import seed_counts, seed_scalars
from selfplay.evaluate import evaluate, heldout_items
from selfplay.items import Item, SuiteResult
from selfplay.judge import Judged, judge
from selfplay.metrics import attempt_rows, proposal_rows, step_scalars, task_rows, task_scalars
from selfplay.propose import (
    ProposalRequest,
    Proposed,
    admit,
    admitted_tasks,
    proposal_requests,
    propose,
    proposes,
    random_tasks,
)
from selfplay.protocols import Buffers, Generator, Learner, Telemetry, Verifier
from selfplay.rewards import RewardTable
from selfplay.schedule import is_over, learning_rate, progress
from selfplay.seeding import SeedingRound, seed_buffers
from selfplay.shaping import measure
from selfplay.solve import Solved, attempt_requests, choose_tasks, grade
from tasks.family import Family
from tasks.records import Kind, Rollout, Task
from telemetry.records import Phase, StepRecord
from telemetry.stopwatch import Stopwatch

RANKING_SUITE = "deduction"  # its accuracy chooses the best checkpoint, where the suite exists


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the loop drives."""

    generator: Generator
    verifier: Verifier
    buffers: Buffers
    learner: Learner
    telemetry: Telemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One step's stages, before the buffers and the records are brought up to date."""

    proposed: list[Proposed]
    fresh: list[Task]
    census: Mapping[Kind, Census]
    solved: list[Solved]
    judged: Judged
    learner_scalars: dict[str, float]
    num_tokens: int


class SelfPlay:
    """A run from its newest checkpoint (or its beginning) to `run.steps`.

    `global_step` is the last one that telemetry has seen (the warm start's), for a run without a checkpoint. `files` are
    further suites, measured at the beginning and at the end.
    """

    def __init__(
        self,
        config: RunConfig,
        family: Family,
        parts: Parts,
        run_dir: Path,
        *,
        global_step: int = 0,
        files: Mapping[str, Sequence[Item]] | None = None,
    ) -> None:
        self._config = config
        self._family = family
        self._parts = parts
        self._kinds = [Kind(name) for name in config.family.kinds]
        self._table = RewardTable.from_section(config.reward)
        self._estimator = make_estimator(config.learner.advantage)
        self._checkpoints = Checkpoints(run_dir, config.run.keep_checkpoints)
        self._heldout = heldout_items(family, parts.verifier, self._kinds)
        self._files = dict(files or {})
        self._state = RunState(global_step=global_step)
        self._watch = Stopwatch()

    def run(self) -> RunState:
        """Returns the state after the last step, which has been evaluated and checkpointed."""
        if not self._resume():
            self._begin()
        while not is_over(self._config.run, self._state.step, self._state.tokens):
            self._step()
        return self._state

    def _resume(self) -> bool:
        found = self._checkpoints.newest()
        if found is None:
            return False
        path, self._state = found
        self._parts.learner.load(path.absolute())
        self._parts.buffers.load(path.absolute() / "buffers.json")
        self._estimator.restore(self._state.baselines)
        self._publish(self._state.version)
        return True

    def _begin(self) -> None:
        """Seeding phase, then what the model can do before any update."""
        self._publish(0)
        parts = self._parts
        for seeding in seed_buffers(self._config, self._family, parts.generator, parts.verifier, parts.buffers):
            self._emit_seeding(seeding)
        self._watch = Stopwatch()
        with self._watch.stage("evaluate"):
            results = self._evaluate(with_files=True)
        census = parts.buffers.census()
        self._state = replace(self._state, seeds=seed_counts(census))
        sizes = {f"buffer/{kind}": float(held.size) for kind, held in census.items()}
        self._finish(sizes | seed_scalars(self._state.seeds), results)

    def _step(self) -> None:
        step, version, watch = self._state.step + 1, self._state.version + 1, self._watch
        played = self._play(watch, step)
        with watch.stage("publish"):
            self._publish(version)
        with watch.stage("buffer"):
            sizes = self._store(played)
        tokens = self._state.tokens + played.num_tokens
        self._state = replace(self._state, step=step, version=version, tokens=tokens, baselines=self._estimator.state())
        results: list[SuiteResult] = []
        last = is_over(self._config.run, step, tokens)
        if last or step % self._config.evaluation.every == 0:
            with watch.stage("evaluate"):
                results = self._evaluate(with_files=last)
        with watch.stage("metrics"):
            scalars = step_scalars(self._kinds, played.proposed, played.solved, played.judged, sizes) | played.learner_scalars
            scalars |= task_scalars(self._family, self._kinds, played.fresh, played.solved, played.census, self._state.seeds)
        self._finish(scalars, results, played)

    def _play(self, watch: Stopwatch, step: int) -> Played:
        """propose → verify → solve → judge → update, each on the results of the one before."""
        config, parts = self._config, self._parts
        with watch.stage("references"):
            wanted = self._wanted(step)
            census = parts.buffers.census()
        with watch.stage("propose"):
            proposals = propose(parts.generator, wanted)
        with watch.stage("verify"):
            proposed = admit(config, parts.verifier, parts.buffers, wanted, proposals)
            fresh = self._fresh(proposed, step)
            tasks = choose_tasks(config, parts.buffers, fresh, step)
        with watch.stage("solve"):
            requests = attempt_requests(config, self._family, tasks, step)
            answers = parts.generator.generate(requests)
        with watch.stage("judge"):
            solved = grade(parts.verifier, config.solver, tasks, requests, answers)
            shaping = measure(self._table, self._family, proposed, solved, census)
            judged = judge(proposed, solved, self._table, self._estimator, shaping)
        with watch.stage("update"):
            done = progress(config.run, step, self._state.tokens)
            learner_scalars = parts.learner.update(judged.batch, learning_rate(config.learner, step, done))
        return Played(
            proposed=proposed,
            fresh=fresh,
            census=census,
            solved=solved,
            judged=judged,
            learner_scalars=learner_scalars,
            num_tokens=_num_tokens(proposals) + _num_tokens(answers),
        )

    def _wanted(self, step: int) -> list[ProposalRequest]:
        """What the model is asked to propose; nothing in an arm without a model that proposes."""
        config, buffers = self._config, self._parts.buffers
        if not proposes(config):
            return []
        return [
            item
            for kind in self._kinds
            for item in proposal_requests(config, self._family, buffers, kind, step, config.num_fresh(kind))
        ]

    def _fresh(self, proposed: Sequence[Proposed], step: int) -> list[Task]:
        """The step's new tasks, whoever proposed them."""
        if self._config.mode == "selfplay" and self._config.proposer.source == "generator":
            return random_tasks(self._config, self._family, self._parts.verifier, step)
        return admitted_tasks(proposed)

    def _publish(self, version: int) -> None:
        self._parts.generator.load(self._parts.learner.publish(version))

    def _store(self, played: Played) -> Mapping[Kind, int]:
        """Admitted proposals enter the buffers with the solve rate just measured; known tasks get theirs renewed."""
        buffers = self._parts.buffers
        rates = {item.task.fingerprint: item.solve_rate for item in played.solved}
        added = buffers.add(played.fresh, [rates.get(task.fingerprint) for task in played.fresh])
        new = {task.fingerprint for task, is_new in zip(played.fresh, added, strict=True) if is_new}
        buffers.record({fingerprint: rate for fingerprint, rate in rates.items() if fingerprint not in new})
        return buffers.sizes()

    def _evaluate(self, with_files: bool) -> list[SuiteResult]:
        suites = self._heldout | (self._files if with_files else {})
        max_tokens = self._config.evaluation.max_tokens
        return evaluate(self._parts.generator, self._parts.verifier, suites, max_tokens, self._state.step)

    def _finish(self, scalars: dict[str, float], results: list[SuiteResult], played: Played | None = None) -> None:
        """Tells telemetry, then checkpoints: a kill between the two repeats steps, and telemetry rewinds to their start.

        What this itself takes is in the next step's ledger of time.
        """
        self._state = replace(self._state, global_step=self._state.global_step + 1)
        for result in results:
            scalars |= result.scalars()
            if result.name == RANKING_SUITE:
                self._state = _ranked(self._state, result.right / result.total)
        seconds = self._watch.seconds()
        self._watch = Stopwatch()
        scalars |= {f"time/{stage}": value for stage, value in seconds.items()} | {"tokens/total": float(self._state.tokens)}
        if played:
            scalars |= {"tokens/step": played.num_tokens, "tokens/per_s": played.num_tokens / seconds["step"]}
        with self._watch.stage("telemetry"):
            self._parts.telemetry.emit(self._record(scalars, results, played))
        if self._is_checkpoint_due():
            with self._watch.stage("checkpoint"):
                self._checkpoints.save(self._state, self._parts.learner, self._parts.buffers)

    def _is_checkpoint_due(self) -> bool:
        """By number, at the end, and whenever an evaluation was the best so far: what ranks best is there to be kept."""
        state, section = self._state, self._config.run
        last = is_over(section, state.step, state.tokens)
        return last or state.step % section.checkpoint_every == 0 or state.step == state.best_step

    def _record(self, scalars: dict[str, float], results: list[SuiteResult], played: Played | None) -> StepRecord:
        state = self._state
        return StepRecord(
            global_step=state.global_step,
            phase=Phase.SELF_PLAY,
            step=state.step,
            version=state.version,
            scalars=scalars,
            proposals=proposal_rows(played.proposed, played.solved, played.judged.proposals) if played else (),
            attempts=attempt_rows(played.solved, played.judged.attempts) if played else (),
            tasks=task_rows(played.solved, state.step, state.version) if played else (),
            evals=tuple(row for result in results for row in result.rows),
        )

    def _emit_seeding(self, seeding: SeedingRound) -> None:
        self._state = replace(self._state, global_step=self._state.global_step + 1)
        scalars = {f"seeding/{kind}/proposed": float(count) for kind, count in seeding.proposed.items()}
        scalars |= {f"seeding/{kind}/generated": float(count) for kind, count in seeding.generated.items()}
        scalars |= {f"buffer/{kind}": float(size) for kind, size in seeding.sizes.items()}
        self._parts.telemetry.emit(
            StepRecord(
                global_step=self._state.global_step,
                phase=Phase.SEEDING,
                step=seeding.number,
                version=self._state.version,
                scalars=scalars,
                proposals=proposal_rows(seeding.proposals, (), None),
            )
        )


def _num_tokens(rollouts: Sequence[Rollout]) -> int:
    return sum(len(rollout.completion_ids) for rollout in rollouts)


def _ranked(state: RunState, accuracy: float) -> RunState:
    better = accuracy > state.best_accuracy
    return replace(
        state,
        best_step=state.step if better else state.best_step,
        best_accuracy=accuracy if better else state.best_accuracy,
    )
