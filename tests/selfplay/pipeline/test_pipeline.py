"""The pipeline over fakes on a clock that jumps: every interleaving ends, and no rule is broken on the way."""

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.errors import UserError
from configs.play_sections import BuffersSection, SolverSection
from configs.schema import RunConfig
from configs.system_sections import PipelineSection, RunSection
from selfplay.pipeline.events import EventLog
from selfplay.pipeline.replay import replay
from selfplay.protocols import Generator
from tasks.records import Role

MakeConfig = Callable[..., RunConfig]


def tiny(steps: int, **section: Any) -> RunConfig:
    return RunConfig(
        tasks_per_kind=2,
        run=RunSection(steps=steps),
        buffers=BuffersSection(seed_size=6, seed_rounds=0),
        solver=SolverSection(attempts=3),
        pipeline=PipelineSection(**section),
    )


def first(error: BaseException) -> str:
    """What went wrong first, within the groups of the tasks around it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, UserError)
    return str(error)


def fleet_of(streaming: type, seed: int, num: int, **kwargs: Any) -> Callable[[Generator], Mapping[str, Any]]:
    """`num` generators whose latencies are random, the same for a seed."""
    rng = random.Random(seed)
    return lambda texts: {
        f"generator-{index}": streaming(texts, lambda request: rng.expovariate(1.0), **kwargs) for index in range(num)
    }


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data(), staleness=st.integers(0, 3), num=st.integers(1, 3), seed=st.integers(0, 10**6))
def test_over_random_interleavings_credits_balance_staleness_holds_and_nothing_is_trained_twice(
    play: Any, streaming: type, data: st.DataObject, staleness: int, num: int, seed: int
) -> None:
    load_s = data.draw(st.floats(0, 20))
    config = tiny(4, staleness=staleness, in_flight=data.draw(st.integers(1, 40)))
    seconds = {"learner": data.draw(st.floats(0, 30)), "verifier": data.draw(st.floats(0, 1))}
    with tempfile.TemporaryDirectory() as folder:
        outcome = play(config, Path(folder), fleet_of(streaming, seed, num, load_s=load_s), seconds)
    assert [batch.step for batch in outcome.trained] == [1, 2, 3, 4]
    account = outcome.credits.account()
    assert account.balanced
    assert account.running == account.judged == 0
    assert account.trained == sum(map(len, outcome.learner.batches))
    for step, batch in enumerate(outcome.learner.batches, start=1):
        assert all(0 <= step - 1 - item.rollout.policy_version <= staleness for item in batch)
    ids = Counter(item.rollout.attempt_id for batch in outcome.learner.batches for item in batch)
    assert set(ids.values()) == {1}


@pytest.mark.parametrize("num", [1, 2, 3])
def test_on_policy_the_weights_depend_neither_on_latencies_nor_on_how_many_generators_answer(
    play: Any, streaming: type, num: int, tmp_path: Path
) -> None:
    config = tiny(4, staleness=0)
    alone = play(config, tmp_path / "alone", lambda texts: {"one": streaming(texts, lambda request: 0.0)})
    other = play(config, tmp_path / "other", fleet_of(streaming, num, num))
    assert other.learner.weight == alone.learner.weight


def test_a_dead_generator_s_requests_are_answered_by_another_with_the_same_result(
    play: Any, streaming: type, tmp_path: Path
) -> None:
    config = tiny(4, staleness=0)

    def dying(texts: Generator) -> Mapping[str, Any]:
        return {"a": streaming(texts, lambda request: 1.0, lives=30), "b": streaming(texts, lambda request: 1.0)}

    alone = play(config, tmp_path / "alone", lambda texts: {"one": streaming(texts, lambda request: 0.0)})
    outcome = play(config, tmp_path / "dying", dying)
    assert outcome.learner.weight == alone.learner.weight
    assert outcome.credits.account() == alone.credits.account()


def test_a_request_whose_generators_die_is_dropped_by_reason_and_the_run_goes_on(
    play: Any, streaming: type, tmp_path: Path
) -> None:
    def dying(texts: Generator) -> Mapping[str, Any]:
        return {"a": streaming(texts, lambda request: 1.0, lives=5), "b": streaming(texts, lambda request: 1.0)}

    outcome = play(tiny(4, staleness=1, retries=0), tmp_path, dying)
    assert len(outcome.trained) == 4
    assert outcome.credits.scalars()["pipeline/dropped/generator_died"] > 0


def test_when_the_last_generator_dies_the_run_ends_with_their_names(play: Any, streaming: type, tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        play(tiny(4, staleness=1), tmp_path, fleet_of(streaming, 0, 2, lives=20))
    assert "all generators are gone (generator-0, generator-1)" in first(caught.value)


def test_a_generator_that_hangs_is_named_within_its_deadline(play: Any, streaming: type, tmp_path: Path) -> None:
    def hanging(texts: Generator) -> Mapping[str, Any]:
        return {"good": streaming(texts, lambda request: 0.1), "stuck": streaming(texts, lambda request: 0.1, hangs=True)}

    with pytest.raises(ExceptionGroup) as caught:
        play(tiny(4, staleness=1, request_timeout_s=60.0), tmp_path, hanging)
    assert "the pipeline waited 60 s for stuck, which holds" in first(caught.value)
    assert "pipeline.request_timeout_s" in first(caught.value)


def test_the_learner_says_what_it_waits_for_when_a_batch_does_not_come(play: Any, streaming: type, tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        play(tiny(4, batch_timeout_s=30.0), tmp_path, lambda texts: {"slow": streaming(texts, lambda request: 100.0)})
    said = "learn waited 30 s for batch 1 (12 proposals and 0 attempts are open); requests in flight: slow: 12"
    assert said in first(caught.value)


def test_a_slow_generator_gets_little_and_does_not_hold_the_others(play: Any, streaming: type, tmp_path: Path) -> None:
    """Each fake answers one request at a time here: what counts is who is given how much."""
    config = tiny(6, staleness=2, in_flight=1)
    made: dict[str, Any] = {}

    def mixed(texts: Generator) -> Mapping[str, Any]:
        made["quick"] = streaming(texts, lambda request: 1.0)
        made["slow"] = streaming(texts, lambda request: 20.0)
        return made

    even = play(config, tmp_path / "even", lambda texts: {"quick": streaming(texts, lambda request: 1.0)})
    outcome = play(config, tmp_path / "mixed", mixed)
    assert made["slow"].num_asked < 0.1 * made["quick"].num_asked
    assert outcome.seconds < 1.1 * even.seconds


def test_what_is_too_stale_is_dropped_and_counted_and_never_trained(play: Any, streaming: type, tmp_path: Path) -> None:
    """A generator that breaks the protocol: it answers with weights older than the request allows."""
    outcome = play(tiny(5, staleness=1), tmp_path, fleet_of(streaming, 0, 1, load_s=40.0, ignores_oldest=True))
    assert outcome.credits.scalars()["pipeline/dropped/too_stale"] > 0
    for step, batch in enumerate(outcome.learner.batches, start=1):
        assert all(step - 1 - item.rollout.policy_version <= 1 for item in batch)


def test_generation_and_learning_overlap(play: Any, streaming: type, tmp_path: Path) -> None:
    """Ten seconds of generating and ten of learning a batch: in turns 20 s a step, side by side nearly 10 s."""

    def even(texts: Generator) -> Mapping[str, Any]:
        return {"one": streaming(texts, lambda request: 5.0)}  # proposals, then attempts

    steps = 12
    apart = play(tiny(steps, staleness=0), tmp_path / "0", even, {"learner": 5.0}).seconds
    together = play(tiny(steps, staleness=1), tmp_path / "1", even, {"learner": 5.0}).seconds
    assert apart == pytest.approx(20.0 * steps, rel=0.05)
    assert together <= 10.0 * steps * 1.15


def test_proposals_that_come_late_are_read_in_their_own_order(play: Any, streaming: type, tmp_path: Path) -> None:
    """Else the short ones, which come first, would be preferred."""
    outcome = play(tiny(3, staleness=2), tmp_path, fleet_of(streaming, 3, 2))
    for batch in outcome.trained:
        ids = [item.admission.proposal_id for item in batch.proposed]
        numbers = [(item.rollout.kind, int(name.rpartition("-")[2])) for item, name in zip(batch.proposed, ids, strict=True)]
        kinds = list(dict.fromkeys(kind for kind, _ in numbers))
        assert numbers == sorted(numbers, key=lambda item: (kinds.index(item[0]), item[1]))


def test_a_replay_of_the_event_log_gives_the_same_weights_after_every_update(
    play: Any, streaming: type, tmp_path: Path
) -> None:
    config = tiny(5, staleness=2)
    outcome = play(config, tmp_path, fleet_of(streaming, 1, 2))
    fresh = type(outcome.learner)()
    replayed = list(replay(config, fresh, EventLog(tmp_path), after=0, baselines={}))
    assert [item.step for item in replayed] == [0, 1, 2, 3, 4, 5]
    assert all(item.agrees for item in replayed)
    assert fresh.weight == outcome.learner.weight


def test_a_replay_names_the_first_update_that_differs(play: Any, streaming: type, tmp_path: Path) -> None:
    config = tiny(4, staleness=1)
    outcome = play(config, tmp_path, fleet_of(streaming, 1, 1))
    changed = config.model_copy(update={"reward": config.reward.model_copy(update={"right": 0.25})})
    replayed = list(replay(changed, type(outcome.learner)(), EventLog(tmp_path), after=0, baselines={}))
    assert [item.agrees for item in replayed] == [True, False, False, False, False]


def test_a_damaged_batch_is_told_with_its_file(play: Any, streaming: type, tmp_path: Path) -> None:
    config = tiny(3, staleness=1)
    outcome = play(config, tmp_path, fleet_of(streaming, 1, 1))
    file = tmp_path / "events" / "batch-000002.json.gz"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"batch-000002.json.gz cannot be read \(its digest"):
        list(replay(config, type(outcome.learner)(), EventLog(tmp_path), after=0, baselines={}))


def test_a_rewound_log_knows_nothing_of_later_steps_and_a_torn_line_is_left_out(
    play: Any, streaming: type, tmp_path: Path
) -> None:
    play(tiny(4, staleness=1), tmp_path, fleet_of(streaming, 1, 1))
    path = tmp_path / "events" / "events.jsonl"
    path.write_bytes(path.read_bytes()[:-7])
    log = EventLog(tmp_path)
    assert [event.step for event in log.events()] == [0, 1, 2, 3]
    log.rewind(2)
    assert [event.step for event in log.events()] == [0, 1, 2]
    files = sorted(file.name for file in (tmp_path / "events").glob("batch-*"))
    assert files == ["batch-000001.json.gz", "batch-000002.json.gz"]


def test_a_data_set_and_a_random_proposer_stream_as_well(play: Any, streaming: type, tmp_path: Path) -> None:
    base = tiny(3, staleness=1)
    deduction = base.family.model_copy(update={"kinds": ("deduction",)})
    random_arm = base.model_copy(update={"proposer": base.proposer.model_copy(update={"source": "generator"})})
    data_set = base.model_copy(update={"mode": "grpo", "dataset": "arithmetic-100", "family": deduction})
    for config in (random_arm, data_set):
        outcome = play(config, tmp_path / config.mode, fleet_of(streaming, 1, 2))
        assert len(outcome.trained) == 3
        assert {item.rollout.role for batch in outcome.learner.batches for item in batch} == {Role.SOLVE}
