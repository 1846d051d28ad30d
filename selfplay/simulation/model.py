"""The scheduler of self-play as a discrete-event model: what a run of any size would do, in seconds of this machine.

    credits: n ≤ version + staleness + 1
          │                                              version v + 1, nobody waits
       propose ──▶ verify ──▶ solve ──▶ grade ──▶ learn ──▶ publication ──▶ engines, when they are ready

The double of selfplay.pipeline.pipeline, stage by stage and with its rules (credits, order of reading, one caller of the
verifier at a time, whom a request goes to, drain or keep); with staleness 0 of selfplay.loop, where a stage begins when the one
before has ended. Latencies are drawn, tasks are counts. Left out: evaluations, checkpoints, faults, the cost of the control
plane itself (`azr bench scaling` measures it). Invariant: a seed gives one history.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from selfplay.simulation.batch import ModelBatch, Proposing
from selfplay.simulation.engine import EngineModel
from selfplay.simulation.fleet import ModelFleet
from selfplay.simulation.latencies import Game, Latencies, Samples
from selfplay.simulation.timeline import Process, Signal, Timeline
from tasks.records import Kind, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStep:
    """One step: when it ended, and what it was made of. Busy and pause: of all engines together, since the beginning."""

    end_s: float
    wait_s: float
    update_s: float
    busy_s: float
    pause_s: float
    tokens: float
    staleness: Sequence[int]


class Model:
    """One run of `num_steps`; `run` gives its steps."""

    def __init__(
        self, game: Game, latencies: Latencies, num_steps: int, seed: int, swap: Literal["drain", "keep"] = "drain"
    ) -> None:
        self._game, self._latencies, self._num_steps = game, latencies, num_steps
        self._rng = random.Random(seed)
        self._time = Timeline()
        engines = [EngineModel(self._time, latencies.speed, swap) for _ in range(game.generators)]
        self._fleet = ModelFleet(engines, game.in_flight)
        self._version = 0
        self._open: dict[int, ModelBatch] = {}
        self._proposals: list[tuple[Proposing, int]] = []  # came, unread: kind and slot
        self._answers: list[ModelBatch] = []
        self._published, self._proposal_came, self._answer_came, self._progress = (Signal() for _ in range(4))
        self._verifier_free_at = 0.0
        self._tokens = 0.0
        self._steps: list[ModelStep] = []

    def run(self) -> list[ModelStep]:
        self._fleet.load(0)
        processes = (self._propose, self._verify, self._grade, self._learn) if self._game.staleness else (self._in_turns,)
        for process in processes:
            self._time.start(process())
        self._time.run()
        assert len(self._steps) == self._num_steps, f"deadlock in step {len(self._steps) + 1}"
        return self._steps

    def _propose(self) -> Process:
        for number in range(1, self._num_steps + 1):
            while number > self._version + self._game.staleness + 1:
                yield self._published
            yield self._draw(self._latencies.references_s)
            batch = self._open[number] = self._opened(number)
            for kind, proposing in batch.kinds.items():
                for slot in range(len(proposing.came)):
                    done = partial(self._proposed, batch, proposing, slot)
                    self._fleet.submit(number, self._length(kind, Role.PROPOSE), self._oldest(number), done)
            self._go_on(batch, {})

    def _verify(self) -> Process:
        while True:
            if not self._proposals:
                yield self._proposal_came
            came, self._proposals = self._proposals, []
            for proposing, slot in came:
                proposing.came[slot] = True
            for batch in list(self._open.values()):
                unread = {kind: proposing.unread() for kind, proposing in batch.kinds.items()}
                if any(unread.values()):
                    yield self._verifier(self._latencies.verify_s, sum(unread.values()))
                    self._go_on(batch, unread)

    def _grade(self) -> Process:
        while True:
            if not self._answers:
                yield self._answer_came
            came, self._answers = self._answers, []
            yield self._verifier(self._latencies.grade_s, len(came))
            for batch in came:
                batch.num_open -= 1
            self._time.set(self._progress)

    def _learn(self) -> Process:
        lat = self._latencies
        for number in range(1, self._num_steps + 1):
            begun = self._time.time()
            while number not in self._open or not self._open[number].is_complete:
                yield self._progress
            wait_s, update_s = self._time.time() - begun, self._draw(lat.update_s)
            yield self._draw(lat.judge_s) + update_s + self._draw(lat.publish_s)
            self._fleet.load(number)
            yield self._draw(lat.store_s)
            batch = self._open.pop(number)
            self._version = number
            self._time.set(self._published)
            yield self._draw(lat.tell_s)
            self._record(batch, wait_s, update_s)

    def _in_turns(self) -> Process:
        """The synchronous loop. Its publication lasts until every engine has loaded it."""
        lat = self._latencies
        for number in range(1, self._num_steps + 1):
            begun, batch = self._time.time(), self._opened(number)
            yield self._draw(lat.references_s)
            proposals = [kind for kind, proposing in batch.kinds.items() for _ in proposing.came]
            yield from self._generated(batch, proposals, Role.PROPOSE)
            yield self._draw(lat.verify_s) * len(proposals)
            attempts = [kind for kind, work in self._game.work.items() for _ in range(work.num_tasks * self._game.attempts)]
            yield from self._generated(batch, attempts, Role.SOLVE)
            wait_s, update_s = self._time.time() - begun, self._draw(lat.update_s)
            yield self._draw(lat.grade_s) * len(attempts) + self._draw(lat.judge_s) + update_s + self._draw(lat.publish_s)
            self._fleet.load(number)
            yield lat.speed.load_s + self._draw(lat.store_s) + self._draw(lat.tell_s)
            self._record(batch, wait_s, update_s)

    def _generated(self, batch: ModelBatch, kinds: Sequence[Kind], role: Role) -> Process:
        batch.num_open = len(kinds)

        def done(version: int) -> None:
            batch.came(version)
            batch.num_open -= 1
            self._time.set(self._progress)

        self._fleet.split([self._length(kind, role) for kind in kinds], batch.number - 1, done)
        while batch.num_open:
            yield self._progress

    def _opened(self, number: int) -> ModelBatch:
        kinds = {}
        for kind, work in self._game.work.items():
            share = self._latencies.admitted[kind]
            kinds[kind] = Proposing(work, [self._rng.random() < share for _ in range(work.num_proposals)])
        return ModelBatch(number, kinds)

    def _go_on(self, batch: ModelBatch, read: dict[Kind, int]) -> None:
        """Asks for the attempts at the tasks that may be solved now."""
        for kind, proposing in batch.kinds.items():
            num_tasks = proposing.read(read.get(kind, 0)) + proposing.top_up()
            batch.num_open += num_tasks * self._game.attempts
            for _ in range(num_tasks * self._game.attempts):
                done = partial(self._answered, batch)
                self._fleet.submit(batch.number, self._length(kind, Role.SOLVE), self._oldest(batch.number), done)
        self._time.set(self._progress)

    def _proposed(self, batch: ModelBatch, proposing: Proposing, slot: int, version: int) -> None:
        batch.came(version)
        self._proposals.append((proposing, slot))
        self._time.set(self._proposal_came)

    def _answered(self, batch: ModelBatch, version: int) -> None:
        batch.came(version)
        self._answers.append(batch)
        self._time.set(self._answer_came)

    def _verifier(self, each_s: Samples, count: int) -> float:
        """Until it has seen to so many, after all that it was asked before."""
        self._verifier_free_at = max(self._verifier_free_at, self._time.time()) + self._draw(each_s) * count
        return self._verifier_free_at - self._time.time()

    def _oldest(self, number: int) -> int:
        return max(0, number - 1 - self._game.staleness)

    def _length(self, kind: Kind, role: Role) -> float:
        tokens = self._draw(self._latencies.tokens[kind, role])
        self._tokens += tokens
        return tokens

    def _draw(self, samples: Samples) -> float:
        return samples[0] if len(samples) == 1 else self._rng.choice(samples)

    def _record(self, batch: ModelBatch, wait_s: float, update_s: float) -> None:
        engines = self._fleet.engines
        self._steps.append(
            ModelStep(
                end_s=self._time.time(),
                wait_s=wait_s,
                update_s=update_s,
                busy_s=sum(engine.busy_s for engine in engines),
                pause_s=sum(engine.pause_s for engine in engines),
                tokens=self._tokens,
                staleness=batch.staleness,
            )
        )
