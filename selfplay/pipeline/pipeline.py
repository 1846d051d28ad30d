"""The asynchronous pipeline: the stages of self-play as coroutines that stream, at most `staleness` versions ahead.

                 credits: n ≤ version + staleness + 1
                        │                                                   version v + 1, nobody waits
    ┌─────────┐   ┌─────▼─────┐   ┌──────────┐   ┌─────────┐   ┌─────────┐   ┌─────────┐
    │ buffers ├──▶│  propose  ├──▶│  verify  ├──▶│  solve  ├──▶│  grade  ├──▶│  learn  ├──▶ publication
    └────▲────┘   └─────┬─────┘   └────▲─────┘   └────┬────┘   └────▲────┘   └────┬────┘        │
         │              ▼ requests     │ proposals    ▼ requests    │ attempts    │             │
         │          ┌──────────────────┴────────────────────────────┴──┐          │             │
         │          │ generators: step their engines by themselves     ◀──────────┼─────────────┘
         │          └──────────────────────────────────────────────────┘          │  when they are ready
         └────────────────────────────── new tasks, solve rates ◀─────────────────┘

    who waits      for what                                        who wakes it               deadline
    propose        credits: batch n is admitted                    learn, by a new version    as learn's (it is what is late)
    verify         proposals of any batch                          generators, as they come   the generators' own
    solve          admitted tasks of any batch                     verify                     as verify's
    grade          attempts of any batch                           generators, as they come   the generators' own
    learn          batch n to be complete, n in order              verify, grade              pipeline.batch_timeout_s
    every stage    a call of the verifier, the buffers, learner    the part itself            pipeline.batch_timeout_s
    generators     requests; a version that a request asks for     solve, propose; learn      pipeline.request_timeout_s

Invariants: batch n is what the synchronous loop's step n would be, with tasks and references as the buffers stand when it
is opened; it is trained as a whole, by version n − 1, so that statistics are per batch whatever versions it mixes. Work for
it begins only with version n − 1 − staleness or a newer one. Every queue is bounded by the credits: none can block a stage.
With staleness 0 it trains what the synchronous loop trains. Does not: resume, evaluate, checkpoint (selfplay.pipeline.run).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from configs.schema import RunConfig
from selfplay.accounts import Accounts
from selfplay.pipeline.batch import OpenBatch
from selfplay.pipeline.credits import Credits
from selfplay.pipeline.learning import Learning, Trained
from selfplay.pipeline.protocols import RequestLost, StreamingParts
from selfplay.pipeline.waiting import Calls, within
from selfplay.propose import ProposalRequest, Proposed, admit, proposal_requests, proposes, random_tasks
from selfplay.protocols import Buffers
from selfplay.schedule import is_over
from selfplay.solve import Attempt, attempt_requests, choose_tasks, judged_attempt, verdicts_on
from selfplay.step_plan import StepPlan, plan_step
from tasks.family import Family
from tasks.records import Answer, Kind, Request, Rollout, Task
from telemetry.stopwatch import Stopwatch

RUN_OVER = "run_over"  # why what is under way at the end is dropped
Asked = tuple[OpenBatch, Request, asyncio.Future[Rollout]]
Came = tuple[OpenBatch, Request, Rollout | None]  # None: the request was lost


class Pipeline:
    """Trains from batch `version` + 1 on until the run is over; `on_trained` is awaited between two updates."""

    def __init__(
        self,
        config: RunConfig,
        family: Family,
        parts: StreamingParts,
        call: Calls,
        learning: Learning,
        accounts: Accounts,
        *,
        version: int,
        tokens: int,
        on_trained: Callable[[Trained], Awaitable[None]],
        watch: Callable[[], Stopwatch],
    ) -> None:
        """`watch`: of the learning stage, for the step that is under way."""
        self._config, self._family, self._parts = config, family, parts
        self._call, self._learning, self._accounts, self._on_trained = call, learning, accounts, on_trained
        self._tokens, self._watch = tokens, watch
        self.credits = Credits(config.pipeline.staleness, version)
        self._open: dict[int, OpenBatch] = {}
        self._progress = asyncio.Event()  # set whenever a batch may have become complete
        self._proposals: asyncio.Queue[Asked] = asyncio.Queue()
        self._tasks: asyncio.Queue[tuple[OpenBatch, Task]] = asyncio.Queue()
        self._answers: asyncio.Queue[Asked] = asyncio.Queue()

    async def run(self) -> None:
        """Every stage is a task of one group: when one fails, all end, and its error is what is raised."""
        async with asyncio.TaskGroup() as group:
            stages = [group.create_task(stage) for stage in (self._propose(), self._verify(), self._solve(), self._grade())]
            await self._learn()
            for stage in stages:
                stage.cancel()
        account = self.credits.account()
        self.credits.drop(RUN_OVER, account.running, running=True)
        self.credits.drop(RUN_OVER, account.judged)

    async def _propose(self) -> None:
        """Opens one batch after another, as soon as its credits are there."""
        for number in range(self.credits.version + 1, self._config.run.steps + 1):
            await self.credits.admission(number)
            batch = self._open[number] = await self._opened(number)
            self._ask(batch, batch.proposal_requests, self._proposals)
            await self._go_on(batch, [])  # where the model does not propose, all kinds are settled at once

    async def _verify(self) -> None:
        """Reads proposals as they come: admitted ones go to the solvers at once."""
        while True:
            for batch, request, rollout in self._came(await _all_that_came(self._proposals)):
                batch.proposal_came(request, rollout)
            for batch in list(self._open.values()):
                unread = batch.unread()
                proposed = await self._admitted(batch, unread) if unread else []
                await self._go_on(batch, batch.read(proposed))

    async def _solve(self) -> None:
        """Asks for all attempts at each task."""
        while True:
            batch, task = await self._tasks.get()
            requests = attempt_requests(self._config, self._family, [task], batch.number)
            batch.begin(task, requests)
            self._ask(batch, requests, self._answers)

    async def _grade(self) -> None:
        """Gives every attempt its verdict as it comes."""
        while True:
            came = self._came(await _all_that_came(self._answers))
            attempts = await self._graded(came)
            for (batch, request, _), attempt in zip(came, attempts, strict=True):
                batch.attempt_came(request, attempt)
            self._progress.set()

    async def _learn(self) -> None:
        """One update per batch, in order; publishes and goes on without waiting for any generator."""
        step = self.credits.version
        while not is_over(self._config.run, step, self._tokens):
            step += 1
            with self._watch().stage("wait"):
                batch = await self._complete(step)
            trained = await self._learning.train(batch, self.credits, self._tokens, self._watch())
            self._tokens += trained.num_tokens
            del self._open[step]  # only now: until its tasks are in the buffers, it knows of them
            self.credits.publish(step)
            await self._on_trained(trained)

    async def _complete(self, number: int) -> OpenBatch:
        async def complete() -> OpenBatch:
            while number not in self._open or not self._open[number].is_complete:
                self._progress.clear()
                await self._progress.wait()
            return self._open[number]

        return await within(self._config.pipeline.batch_timeout_s, "learn", partial(self._missing, number), complete())

    async def _opened(self, number: int) -> OpenBatch:
        """With references and programs as the buffers stand now."""
        config, kinds = self._config, [Kind(name) for name in self._config.family.kinds]
        plan = await self._call("propose", "buffers", plan_step, config, self._parts.buffers, number)
        census = await self._call("propose", "buffers", self._parts.buffers.census)
        if proposes(config):
            wanted = {kind: await self._call("propose", "buffers", self._wanted, kind, plan) for kind in kinds}
            return OpenBatch(plan, wanted, census)
        fresh: list[Task] = []
        if config.mode == "selfplay":  # the family's generator proposes
            fresh = await self._call("propose", "verifier", random_tasks, config, plan, self._family, self._parts.verifier)
        return OpenBatch(plan, {kind: [] for kind in kinds}, census, fresh)

    def _wanted(self, kind: Kind, plan: StepPlan) -> list[ProposalRequest]:
        return proposal_requests(self._config, self._family, self._parts.buffers, kind, plan.step, plan.quotas[kind].fresh)

    async def _admitted(self, batch: OpenBatch, unread: Sequence[tuple[ProposalRequest, Rollout]]) -> list[Proposed]:
        others = [other.fingerprints for other in self._open.values() if other is not batch]
        held = Held(self._parts.buffers, frozenset[str]().union(*others))
        wanted, rollouts = [item for item, _ in unread], [rollout for _, rollout in unread]
        arguments = (self._config, self._parts.verifier, held, wanted, rollouts, batch.plan.hardest)
        admitted = await self._call("verify", "verifier", admit, *arguments)
        proposed = batch.without_repeats(admitted)
        self.credits.judge(len(proposed))
        self._accounts.admitted(proposed)
        return proposed

    async def _go_on(self, batch: OpenBatch, tasks: Sequence[Task]) -> None:
        """Hands tasks to the solvers, and tops up the kinds that will have no further new ones."""
        for task in tasks:
            self._tasks.put_nowait((batch, task))
        for kind in batch.unsettled():
            arguments = (self._config, batch.plan, self._parts.buffers, kind, batch.fresh)
            for task in batch.settle(kind, await self._call("verify", "buffers", choose_tasks, *arguments)):
                self._tasks.put_nowait((batch, task))
        self._progress.set()

    async def _graded(self, came: Sequence[Came]) -> list[Attempt | None]:
        """The attempts in the order of what came; None for the lost ones."""
        there = [(batch, request, rollout) for batch, request, rollout in came if rollout is not None]
        answers = [
            Answer(attempt_id=request.attempt_id, task=batch.task(request), text=rollout.text)
            for batch, request, rollout in there
        ]
        verdicts = iter(await self._call("grade", "verifier", verdicts_on, self._parts.verifier, answers) if answers else [])
        self.credits.judge(len(there))
        section = self._config.solver
        attempts = [None if rollout is None else judged_attempt(section, rollout, next(verdicts)) for _, _, rollout in came]
        self._accounts.graded([attempt for attempt in attempts if attempt is not None])
        return attempts

    def _ask(self, batch: OpenBatch, requests: Sequence[Request], inbox: asyncio.Queue[Asked]) -> None:
        """Submits; the inbox gets each future once it is done, with what it holds."""
        self.credits.submit(batch.number, len(requests))
        self._accounts.asked(requests)
        for request in requests:
            answer = self._parts.generator.submit(request, self.credits.oldest(batch.number))
            answer.add_done_callback(partial(_put, inbox, batch, request))

    def _came(self, asked: Sequence[Asked]) -> list[Came]:
        """Raises what a generator failed with; a lost request is dropped by its reason."""
        came: list[Came] = []
        for batch, request, answer in asked:
            try:
                came.append((batch, request, answer.result()))
            except RequestLost as lost:
                self.credits.drop(lost.reason, running=True)
                self._accounts.dropped([request.attempt_id], lost.reason)
                came.append((batch, request, None))
        return came

    def _missing(self, number: int) -> str:
        held = ", ".join(f"{item.name}: {item.in_flight}" for item in self._parts.generator.health())
        what = self._open[number].describe() if number in self._open else f"batch {number} to be opened"
        return f"{what}; requests in flight: {held}"


class Held:
    """What counts as known to a batch: the buffers' tasks and those of the other batches under way."""

    def __init__(self, buffers: Buffers, others: frozenset[str]) -> None:
        self._buffers = buffers
        self._others = others

    def known(self, fingerprints: Sequence[str]) -> list[bool]:
        held = self._buffers.known(fingerprints)
        return [known or name in self._others for known, name in zip(held, fingerprints, strict=True)]


async def _all_that_came(inbox: asyncio.Queue[Asked]) -> list[Asked]:
    """At least one; all that are there."""
    came = [await inbox.get()]
    while not inbox.empty():
        came.append(inbox.get_nowait())
    return came


def _put(inbox: asyncio.Queue[Asked], batch: OpenBatch, request: Request, answer: asyncio.Future[Rollout]) -> None:
    inbox.put_nowait((batch, request, answer))
