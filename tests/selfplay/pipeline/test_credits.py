import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfplay.pipeline.credits import Credits

MOVES = st.lists(st.tuples(st.sampled_from(["submit", "judge", "train", "drop", "lose", "publish"]), st.integers(0, 5)))


@given(staleness=st.integers(0, 4), moves=MOVES)
def test_whatever_happens_every_submitted_request_is_in_exactly_one_place(staleness: int, moves: list[tuple[str, int]]) -> None:
    credits = Credits(staleness, 0)
    submitted = dropped = 0
    for move, count in moves:
        account = credits.account()
        match move:
            case "submit":
                credits.submit(credits.version + 1, count)
                submitted += count
            case "judge":
                credits.judge(min(count, account.running))
            case "train":
                credits.train(min(count, account.judged))
            case "drop":
                credits.drop("too_stale", min(count, account.judged))
                dropped += min(count, account.judged)
            case "lose":
                credits.drop("generator_died", min(count, account.running), running=True)
                dropped += min(count, account.running)
            case "publish":
                credits.publish(credits.version + 1)
        now = credits.account()
        assert now.submitted == submitted == now.running + now.judged + now.trained + now.dropped
        assert now.dropped == dropped


@pytest.mark.parametrize("move", [lambda c: c.judge(), lambda c: c.train(1), lambda c: c.drop("too_stale")])
def test_what_is_not_there_cannot_be_moved(move: object) -> None:
    with pytest.raises(AssertionError, match="credits must balance"):
        move(Credits(1, 0))  # type: ignore[operator]


@given(staleness=st.integers(0, 4), version=st.integers(0, 50), batch=st.integers(1, 60))
def test_a_batch_is_admitted_exactly_when_its_rollouts_cannot_become_too_stale(
    staleness: int, version: int, batch: int
) -> None:
    credits = Credits(staleness, version)
    assert credits.admits(batch) == (batch - 1 - version <= staleness)
    assert not credits.admits(batch) or credits.oldest(batch) <= version


def test_who_waits_for_admission_is_woken_by_the_version_that_admits() -> None:
    async def main() -> list[int]:
        credits, woken_at = Credits(1, 0), list[int]()

        async def propose() -> None:
            await credits.admission(4)
            woken_at.append(credits.version)

        async with asyncio.timeout(5):
            task = asyncio.create_task(propose())
            for version in (1, 2, 3):
                await asyncio.sleep(0)
                credits.publish(version)
                await asyncio.sleep(0)
            await task
        return woken_at

    assert asyncio.run(main()) == [2]
