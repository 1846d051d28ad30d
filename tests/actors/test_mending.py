"""What a lost actor's successor is told: everything since the newest checkpoint, and nothing twice."""

from pathlib import Path

import pytest

from actors import mending
from actors.mending import Budget, History

PARTIAL, FINAL = Path("checkpoints/.partial-step-000002"), Path("checkpoints/step-000002")


def test_a_load_takes_the_place_of_everything_before_it() -> None:
    history = History(("load", "add"))
    for method, args in (("add", (1,)), ("load", ("here",)), ("add", (2,))):
        history.add(method, args)
    assert history.calls == [("load", ("here",)), ("add", (2,))]


def test_a_checkpoint_takes_the_place_of_what_it_holds_only_once_it_is_whole() -> None:
    history = History(("load", "add", "snapshot"))
    calls = [("add", (1,)), ("snapshot", (PARTIAL,)), ("add", (2,))]
    for method, args in calls:
        history.add(method, args)
    assert history.calls == calls, "until then the actor must be able to write it again"
    history.kept(PARTIAL, FINAL)
    assert history.calls == [("load", (FINAL,)), ("add", (2,))]
    history.kept(PARTIAL, FINAL)
    assert history.calls == [("load", (FINAL,)), ("add", (2,))]


def test_restarts_are_counted_for_each_actor_and_forgotten_after_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(mending.time, "monotonic", lambda: now[0])
    budget = Budget(2)
    assert [budget.spend("a"), budget.spend("a"), budget.spend("a"), budget.spend("b")] == [1, 2, 0, 1]
    now[0] = mending.WINDOW_S + 1
    assert budget.spend("a") == 1
