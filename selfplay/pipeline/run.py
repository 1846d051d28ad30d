"""A run of the asynchronous pipeline from its newest checkpoint (or its beginning) to `run.steps`.

    resume | seed the buffers, evaluate ──▶ pipeline ──a batch was trained──▶ evaluate? ──▶ chronicle

What `selfplay.loop.SelfPlay` is for staleness 0: the same arguments, the same files, and the event log beside them. While
a batch is evaluated or told of, the learner waits and the generators go on; an evaluation is answered by exactly the
version that it is of. A checkpoint is of a batch boundary: what is under way is not saved, and is asked for again by a
resume under the same ids and seeds. Does not: train (selfplay.pipeline.pipeline), keep the state (selfplay.chronicle).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from configs.schema import RunConfig
from learner.advantages import make_estimator
from learner.weights import Publication
from selfplay.checkpoint import RunState
from selfplay.chronicle import Chronicle
from selfplay.curriculum import plan_scalars
from selfplay.diversity import seed_counts, seed_scalars
from selfplay.evaluate import eval_requests, heldout_items, judge_suites, train_items
from selfplay.items import Item, SuiteResult
from selfplay.metrics import step_scalars, task_scalars
from selfplay.pipeline.events import EventLog
from selfplay.pipeline.learning import Learning, Trained
from selfplay.pipeline.pipeline import RUN_OVER, Pipeline
from selfplay.pipeline.protocols import Health, RequestLost, StreamingGenerator, StreamingParts
from selfplay.pipeline.staleness import pause_scalars, staleness_scalars
from selfplay.pipeline.waiting import Threads
from selfplay.seeding import seed_buffers
from tasks.family import Family
from tasks.records import Kind, Request, Rollout
from telemetry.stopwatch import Stopwatch


class AsyncSelfPlay:
    """One run; `global_step` and `files` as for SelfPlay."""

    def __init__(
        self,
        config: RunConfig,
        family: Family,
        parts: StreamingParts,
        run_dir: Path,
        *,
        global_step: int = 0,
        files: Mapping[str, Sequence[Item]] | None = None,
    ) -> None:
        self._config, self._family, self._parts = config, family, parts
        self._kinds = [Kind(name) for name in config.family.kinds]
        self._estimator = make_estimator(config.learner.advantage)
        self._events = EventLog(run_dir)
        self._suites = heldout_items(family, parts.verifier, self._kinds) | train_items(config, family, parts.verifier)
        self._files = dict(files or {})
        self._chronicle = Chronicle(config, family, run_dir, parts.learner, parts.buffers, parts.telemetry, global_step)
        self._call = Threads(config.pipeline.batch_timeout_s)
        self._health: Mapping[str, Health] = {}

    def run(self) -> RunState:
        """Returns the state after the last step, which has been evaluated and checkpointed."""
        try:
            asyncio.run(self._run())
            self._chronicle.wait()
        except BaseExceptionGroup as group:
            raise _first(group) from group
        finally:
            self._call.close()
            self._chronicle.close()
        return self._chronicle.state

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(self._parts.generator.serve())
            resumed = await self._call("resume", "chronicle", self._chronicle.resume, self._estimator)
            await self._publish()
            if not resumed:
                await self._begin()
            pipeline = self._pipeline()
            await pipeline.run()
            self._chronicle.accounts.rest_dropped(RUN_OVER)
            serving.cancel()

    def _pipeline(self) -> Pipeline:
        arguments = (self._config, self._family, self._parts, self._call)
        learning = Learning(*arguments, self._events, self._chronicle.accounts, self._estimator)
        pipeline = Pipeline(
            *arguments,
            learning,
            self._chronicle.accounts,
            version=self._chronicle.state.version,
            tokens=self._chronicle.state.tokens,
            on_trained=lambda trained: self._trained(trained, pipeline.credits.scalars()),
            watch=lambda: self._chronicle.watch,
        )
        return pipeline

    async def _begin(self) -> None:
        """Seeding phase, then what the model can do before any update."""
        parts, chronicle, asked = self._parts, self._chronicle, Asked(self._parts.generator, 0)
        rounds = seed_buffers(self._config, self._family, asked, parts.verifier, parts.buffers)
        while (seeding := await self._call("seeding", "seeding", next, rounds, None)) is not None:
            await self._call("seeding", "chronicle", chronicle.seeded, seeding)
        chronicle.watch = Stopwatch()
        results = await self._evaluate(with_files=True)
        census = await self._call("seeding", "buffers", parts.buffers.census)
        chronicle.state = replace(chronicle.state, seeds=seed_counts(census))
        sizes = {f"buffer/{kind}": float(held.size) for kind, held in census.items()}
        await self._call("seeding", "chronicle", chronicle.finished, sizes | seed_scalars(chronicle.state.seeds), results)

    async def _publish(self) -> None:
        """The version that this session begins with."""
        state = self._chronicle.state
        publication: Publication = await self._call("resume", "learner", self._parts.learner.publish, state.version)
        self._parts.generator.load(publication)
        self._events.rewind(state.step)
        self._events.begin(state.step, publication.manifest.fingerprint)

    async def _trained(self, trained: Trained, credits: Mapping[str, float]) -> None:
        """Between two updates: the state after it, an evaluation and a checkpoint where they are due, telemetry."""
        chronicle, step = self._chronicle, trained.step
        tokens = chronicle.state.tokens + trained.num_tokens
        chronicle.state = replace(chronicle.state, step=step, version=step, tokens=tokens, baselines=self._estimator.state())
        results: list[SuiteResult] = []
        if chronicle.is_over or step % self._config.evaluation.every == 0:
            results = await self._evaluate(with_files=chronicle.is_over)
        with chronicle.watch.stage("metrics"):
            scalars = await self._call("learn", "metrics", self._scalars, trained)
        scalars |= {**credits, **self._pauses(chronicle.watch.seconds()["step"])}
        await self._call("learn", "chronicle", chronicle.finished, scalars, results, trained)

    async def _evaluate(self, with_files: bool) -> list[SuiteResult]:
        state, suites = self._chronicle.state, self._suites | (self._files if with_files else {})
        requests = eval_requests(suites, self._config.evaluation.max_tokens, state.step)
        with self._chronicle.watch.stage("evaluate"):
            rollouts = await _all(self._parts.generator, requests, state.version)
            return await self._call("evaluate", "verifier", judge_suites, suites, rollouts, self._parts.verifier, state.step)

    def _scalars(self, trained: Trained) -> dict[str, float]:
        scalars = step_scalars(self._kinds, trained.proposed, trained.solved, trained.judged, trained.sizes)
        scalars |= trained.learner_scalars | plan_scalars(self._config.curriculum, trained)
        arguments = (self._kinds, trained.fresh, trained.solved, trained.census, self._chronicle.state.seeds)
        return scalars | task_scalars(self._family, *arguments) | staleness_scalars(trained.judged.batch, trained.step)

    def _pauses(self, step_s: float) -> dict[str, float]:
        now = self._parts.generator.health()
        scalars = pause_scalars(self._health, now, step_s)
        self._health = {item.name: item for item in now}
        return scalars


class Asked:
    """The streaming generator as the blocking one of the seeding phase, for another thread than its loop's."""

    def __init__(self, generator: StreamingGenerator, oldest: int) -> None:
        self._generator, self._oldest = generator, oldest
        self._loop = asyncio.get_running_loop()

    def generate(self, requests: Sequence[Request]) -> list[Rollout]:
        answers = _all(self._generator, requests, self._oldest)
        return asyncio.run_coroutine_threadsafe(answers, self._loop).result()

    def load(self, publication: Publication) -> None:
        self._loop.call_soon_threadsafe(self._generator.load, publication)


async def _all(generator: StreamingGenerator, requests: Sequence[Request], oldest: int) -> list[Rollout]:
    """In the order of the requests; the router's deadline is theirs, and none may be given up."""

    async def answer(request: Request) -> Rollout:
        while True:
            try:
                return await generator.submit(request, oldest)
            except RequestLost:
                continue  # the generators died with it more often than a rollout for training is worth

    return await asyncio.gather(*[answer(request) for request in requests])


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What went wrong first; what followed from it is its cause's business."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
