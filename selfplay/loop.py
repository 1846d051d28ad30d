"""The self-play loop, synchronous: one joint update per step, always on the newest weights.

    propose ─▶ verify ─▶ solve ─▶ judge ─▶ update ─▶ publish ─▶ buffer
       ▲                                                          │
       └────────── references, programs ── task buffers ◀─────────┘

The loop knows its parts by the protocols alone: the same code runs in one process and on a cluster. All that it must
remember between two steps is the chronicle's `RunState`, which goes into the checkpoint with the learner and the buffers. A
step is a function of (configuration, state), so that a resumed run repeats the uninterrupted one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from buffers.census import Census
from configs.schema import RunConfig
from learner.advantages import make_estimator
from selfplay.checkpoint import RunState
from selfplay.chronicle import Chronicle
from selfplay.curriculum import plan_scalars
from selfplay.diversity import seed_counts, seed_scalars
from selfplay.evaluate import evaluate, heldout_items, train_items
from selfplay.items import Item, SuiteResult
from selfplay.judge import Judged, judge
from selfplay.metrics import step_scalars, task_scalars
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
from selfplay.schedule import learning_rate, progress
from selfplay.seeding import seed_buffers
from selfplay.shaping import measure
from selfplay.solve import Solved, attempt_requests, choose_tasks, grade
from selfplay.step_plan import StepPlan, plan_step
from tasks.family import Family
from tasks.records import Kind, Rollout, Task
from telemetry.stopwatch import Stopwatch


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
    """One step's stages, before the buffers and the records are brought up to date. `mined`: ids of tasks."""

    plan: StepPlan
    mined: frozenset[str]
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
        self._suites = heldout_items(family, parts.verifier, self._kinds) | train_items(config, family, parts.verifier)
        self._files = dict(files or {})
        self._chronicle = Chronicle(config, family, run_dir, parts.learner, parts.buffers, parts.telemetry, global_step)

    def run(self) -> RunState:
        """Returns the state after the last step, which has been evaluated and checkpointed."""
        chronicle = self._chronicle
        try:
            if chronicle.resume(self._estimator):
                self._publish(chronicle.state.version)
            else:
                self._begin()
            while not chronicle.is_over:
                self._step()
            chronicle.wait()
        finally:
            chronicle.close()
        return chronicle.state

    def _begin(self) -> None:
        """Seeding phase, then what the model can do before any update."""
        self._publish(0)
        parts, chronicle = self._parts, self._chronicle
        for seeding in seed_buffers(self._config, self._family, parts.generator, parts.verifier, parts.buffers):
            chronicle.seeded(seeding)
        chronicle.watch = Stopwatch()
        with chronicle.watch.stage("evaluate"):
            results = self._evaluate(with_files=True)
        census = parts.buffers.census()
        chronicle.state = replace(chronicle.state, seeds=seed_counts(census))
        sizes = {f"buffer/{kind}": float(held.size) for kind, held in census.items()}
        chronicle.finished(sizes | seed_scalars(chronicle.state.seeds), results)

    def _step(self) -> None:
        chronicle = self._chronicle
        before, watch = chronicle.state, chronicle.watch
        played = self._play(watch, before.step + 1)
        with watch.stage("publish"):
            self._publish(before.version + 1)
        with watch.stage("buffer"):
            sizes = self._store(played)
        chronicle.state = replace(
            before,
            step=before.step + 1,
            version=before.version + 1,
            tokens=before.tokens + played.num_tokens,
            baselines=self._estimator.state(),
        )
        results: list[SuiteResult] = []
        if chronicle.is_over or chronicle.state.step % self._config.evaluation.every == 0:
            with watch.stage("evaluate"):
                results = self._evaluate(with_files=chronicle.is_over)
        with watch.stage("metrics"):
            scalars = step_scalars(self._kinds, played.proposed, played.solved, played.judged, sizes) | played.learner_scalars
            scalars |= task_scalars(self._family, self._kinds, played.fresh, played.solved, played.census, before.seeds)
            scalars |= plan_scalars(self._config.curriculum, played)
        chronicle.finished(scalars, results, played)

    def _play(self, watch: Stopwatch, step: int) -> Played:
        """propose → verify → solve → judge → update, each on the results of the one before."""
        config, parts, accounts = self._config, self._parts, self._chronicle.accounts
        with watch.stage("references"):
            plan = plan_step(config, parts.buffers, step)
            wanted = self._wanted(plan)
            census = parts.buffers.census()
            accounts.asked([item.request for item in wanted])
        with watch.stage("propose"):
            proposals = propose(parts.generator, wanted)
        with watch.stage("verify"):
            proposed = admit(config, parts.verifier, parts.buffers, wanted, proposals, plan.hardest)
            accounts.admitted(proposed)
            fresh = self._fresh(proposed, plan)
            chosen = [choose_tasks(config, plan, parts.buffers, kind, fresh) for kind in self._kinds]
            tasks = [task for each in chosen for task in each.tasks]
        with watch.stage("solve"):
            requests = attempt_requests(config, self._family, tasks, step)
            accounts.asked(requests)
            answers = parts.generator.generate(requests)
        with watch.stage("judge"):
            solved = grade(parts.verifier, config.solver, tasks, requests, answers)
            accounts.graded(attempt for item in solved for attempt in item.attempts)
            shaping = measure(self._table, self._family, proposed, solved, census)
            judged = judge(proposed, solved, self._table, self._estimator, shaping)
        with watch.stage("update"):
            done = progress(config.run, step, self._chronicle.state.tokens)
            learner_scalars = parts.learner.update(judged.batch, learning_rate(config.learner, step, done))
            accounts.learned(judged)
        return Played(
            plan=plan,
            mined=frozenset[str]().union(*(each.mined for each in chosen)),
            proposed=proposed,
            fresh=fresh,
            census=census,
            solved=solved,
            judged=judged,
            learner_scalars=learner_scalars,
            num_tokens=_num_tokens(proposals) + _num_tokens(answers),
        )

    def _wanted(self, plan: StepPlan) -> list[ProposalRequest]:
        """What the model is asked to propose; nothing in an arm without a model that proposes."""
        config, buffers = self._config, self._parts.buffers
        if not proposes(config):
            return []
        return [
            item
            for kind, quota in plan.quotas.items()
            for item in proposal_requests(config, self._family, buffers, kind, plan.step, quota.fresh)
        ]

    def _fresh(self, proposed: Sequence[Proposed], plan: StepPlan) -> list[Task]:
        """The step's new tasks, whoever proposed them."""
        if self._config.mode == "selfplay" and self._config.proposer.source == "generator":
            return random_tasks(self._config, plan, self._family, self._parts.verifier)
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
        suites = self._suites | (self._files if with_files else {})
        max_tokens = self._config.evaluation.max_tokens
        return evaluate(self._parts.generator, self._parts.verifier, suites, max_tokens, self._chronicle.state.step)


def _num_tokens(rollouts: Sequence[Rollout]) -> int:
    return sum(len(rollout.completion_ids) for rollout in rollouts)
