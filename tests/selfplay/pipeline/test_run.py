"""The asynchronous run beside the synchronous one: the same files, the same records, and without staleness the same curve."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from configs.errors import UserError
from configs.play_sections import CurriculumSection
from configs.schema import RunConfig
from selfplay.loop import Parts, SelfPlay
from selfplay.pipeline.protocols import StreamingParts
from selfplay.pipeline.router import Router
from selfplay.pipeline.run import AsyncSelfPlay
from tasks.arithmetic.family import ArithmeticFamily
from telemetry.records import Phase, StepRecord
from telemetry.same_curve import CLOCK

MakeConfig = Callable[..., RunConfig]
# Said by one of the two only, or measured by the clock.
OWN = (*CLOCK, "pipeline/", "staleness/", "generators/")


class Fakes:
    """The synchronous fake behind a fleet of `num`; made in the loop that it answers in."""

    def __init__(self, config: RunConfig, parts: Parts, streaming: type, num: int) -> None:
        self._make = lambda: Router(
            {f"generator-{index}": streaming(parts.generator, lambda request: 0.0) for index in range(num)}, config.pipeline
        )
        self._fleet: Router | None = None

    def __getattr__(self, name: str) -> Any:
        self._fleet = self._fleet or self._make()
        return getattr(self._fleet, name)


def streamed(parts: Parts, config: RunConfig, streaming: type, num: int = 2) -> StreamingParts:
    return StreamingParts(
        generator=Fakes(config, parts, streaming, num),  # type: ignore[arg-type]
        verifier=parts.verifier,
        buffers=parts.buffers,
        learner=parts.learner,
        telemetry=parts.telemetry,
    )


def records(parts: Any) -> list[StepRecord]:
    found: list[StepRecord] = parts.telemetry.records
    return found


def curve(parts: Any) -> list[tuple[int, int, Mapping[str, float], tuple[Any, ...]]]:
    return [
        (
            record.step,
            record.version,
            {name: value for name, value in record.scalars.items() if not name.startswith(OWN)},
            (record.proposals, record.attempts, record.tasks, record.evals),
        )
        for record in records(parts)
    ]


@pytest.mark.slow
def test_without_staleness_the_pipeline_records_and_trains_what_the_synchronous_loop_does(
    async_config: MakeConfig, family: ArithmeticFamily, parts: Parts, other_parts: Parts, streaming: type, tmp_path: Path
) -> None:
    config = async_config(staleness=0)
    SelfPlay(config, family, parts, tmp_path / "sync").run()
    state = AsyncSelfPlay(config, family, streamed(other_parts, config, streaming), tmp_path / "async").run()
    assert state.step == 6
    assert curve(other_parts) == curve(parts)
    assert other_parts.learner.weight == parts.learner.weight  # type: ignore[attr-defined]
    names = [sorted(path.name for path in (tmp_path / run / "checkpoints").iterdir()) for run in ("sync", "async")]
    assert names[0] == names[1]


@pytest.mark.slow
@pytest.mark.parametrize("source", ["model", "generator"])
def test_the_same_holds_with_every_part_of_the_curriculum_on(
    source: str,
    async_config: MakeConfig,
    family: ArithmeticFamily,
    parts: Parts,
    other_parts: Parts,
    streaming: type,
    tmp_path: Path,
) -> None:
    base = async_config(staleness=0)
    curriculum = CurriculumSection(ramp_len=4, ramp_start=4.0, ramp_end=7.0, mined_share=0.5, mined_rate=0.5, balance=0.5)
    config = base.model_copy(
        update={
            "curriculum": curriculum,
            "solver": base.solver.model_copy(update={"fresh_share": 0.5}),
            "proposer": base.proposer.model_copy(update={"source": source}),
        }
    )
    SelfPlay(config, family, parts, tmp_path / "sync").run()
    AsyncSelfPlay(config, family, streamed(other_parts, config, streaming), tmp_path / "async").run()
    assert curve(other_parts) == curve(parts)
    assert any("curriculum/bound" in record.scalars for record in records(parts))


@pytest.mark.slow
def test_every_step_says_how_stale_it_was_and_where_all_requests_are(
    async_config: MakeConfig, family: ArithmeticFamily, parts: Parts, streaming: type, tmp_path: Path
) -> None:
    config = async_config(staleness=2)
    AsyncSelfPlay(config, family, streamed(parts, config, streaming), tmp_path).run()
    played = [record.scalars for record in records(parts) if record.phase is Phase.SELF_PLAY and record.step]
    assert len(played) == 6
    for scalars in played:
        assert scalars["staleness/mean"] <= scalars["staleness/max"] <= 2
        assert scalars["staleness/mixed"] == 0
        places = ("running", "judged", "trained", "dropped")
        assert scalars["pipeline/submitted"] == sum(scalars[f"pipeline/{place}"] for place in places)
        stages = sum(value for name, value in scalars.items() if name.startswith("time/")) - scalars["time/step"]
        assert stages - scalars["time/unattributed"] == pytest.approx(
            scalars["time/step"] * (1 - scalars["time/unattributed"]), rel=1e-6
        )


@pytest.mark.slow
def test_evaluations_are_answered_by_exactly_the_version_that_they_are_of(
    async_config: MakeConfig, family: ArithmeticFamily, parts: Parts, streaming: type, tmp_path: Path
) -> None:
    config = async_config(staleness=3)
    AsyncSelfPlay(config, family, streamed(parts, config, streaming), tmp_path).run()
    for record in records(parts):
        assert {row.version for row in record.evals} <= {record.version}


@pytest.mark.slow
def test_a_resumed_run_goes_on_from_the_checkpoint_and_its_log_has_every_step_once(
    async_config: MakeConfig, family: ArithmeticFamily, parts: Parts, streaming: type, tmp_path: Path
) -> None:
    config = async_config(staleness=1)
    short = config.model_copy(update={"run": config.run.model_copy(update={"steps": 4})})
    AsyncSelfPlay(short, family, streamed(parts, short, streaming), tmp_path).run()
    learner = type(parts.learner)()
    resumed = replace(parts, learner=learner, telemetry=type(parts.telemetry)())
    state = AsyncSelfPlay(config, family, streamed(resumed, config, streaming), tmp_path).run()
    assert state.step == state.version == 6
    assert [record.step for record in records(resumed)] == [5, 6]
    log = (tmp_path / "events" / "events.jsonl").read_text().splitlines()
    assert sum('"trained"' in line for line in log) == 6


@pytest.mark.slow
def test_what_breaks_in_a_stage_ends_the_run_as_itself(
    async_config: MakeConfig, family: ArithmeticFamily, parts: Parts, streaming: type, tmp_path: Path
) -> None:
    config = async_config(staleness=1)

    def update(batch: object, lr: float) -> dict[str, float]:
        raise UserError("the disk is full")

    parts.learner.update = update  # type: ignore[method-assign]
    with pytest.raises(UserError, match="the disk is full"):
        AsyncSelfPlay(config, family, streamed(parts, config, streaming), tmp_path).run()
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
