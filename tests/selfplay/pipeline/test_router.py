"""What becomes of generators that die or hang, on a clock that jumps: they come back, or the others go on."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from configs.errors import UserError
from configs.schema import RunConfig
from selfplay.pipeline.protocols import GeneratorDied
from selfplay.protocols import Generator

MakeConfig = Callable[..., RunConfig]
REVIVAL_S = 7.0


@pytest.fixture
def reviving(streaming: type) -> Callable[..., Any]:
    """A fake that is made anew after its death, at most so often, without weights and in good health."""

    class Reviving(streaming):  # type: ignore[misc]
        def __init__(self, *args: Any, revivals: int = 1, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.revivals, self.why, self.began_with = revivals, "", []

        def kill(self, why: str) -> None:
            self.why = why
            self._died.set()
            for request in self._open:
                request.set_exception(GeneratorDied())
            self._open.clear()

        async def revive(self) -> None:
            if not self.revivals:
                raise GeneratorDied
            self.revivals -= 1
            await asyncio.sleep(REVIVAL_S)
            self._died, self._lives, self._hangs, self.version = asyncio.Event(), float("inf"), False, -1

        def load(self, publication: Any) -> None:
            self.began_with.append(publication.manifest.version)
            super().load(publication)

    return Reviving


@pytest.mark.slow
def test_the_only_generator_dies_and_comes_back_and_what_is_trained_is_the_same(
    play: Any, streaming: type, reviving: Callable[..., Any], async_config: MakeConfig, tmp_path: Path
) -> None:
    config = async_config(staleness=0)
    alone = play(config, tmp_path / "alone", lambda texts: {"one": streaming(texts, lambda request: 1.0)})
    made: dict[str, Any] = {}

    def mortal(texts: Generator) -> Mapping[str, Any]:
        made["one"] = reviving(texts, lambda request: 1.0, lives=20)
        return made

    outcome = play(config, tmp_path / "mortal", mortal)
    assert outcome.learner.weight == alone.learner.weight
    assert made["one"].began_with[0] == made["one"].began_with[1], "what died is given the newest weights again"
    assert outcome.seconds == pytest.approx(alone.seconds + REVIVAL_S, abs=2.0)


def test_a_generator_that_hangs_is_killed_by_its_deadline_and_the_run_goes_on(
    play: Any, reviving: Callable[..., Any], async_config: MakeConfig, tmp_path: Path
) -> None:
    made: dict[str, Any] = {}

    def stuck(texts: Generator) -> Mapping[str, Any]:
        made["one"] = reviving(texts, lambda request: 1.0, hangs=True)
        return made

    outcome = play(async_config(staleness=1, request_timeout_s=60.0), tmp_path, stuck)
    assert made["one"].why.startswith("gave no answer for 60 s to the ")
    assert outcome.credits.account().balanced
    assert "pipeline/dropped/generator_died" not in outcome.credits.scalars()


def test_the_others_go_on_without_one_that_is_not_made_anew_and_the_last_one_s_end_is_the_run_s(
    play: Any, streaming: type, reviving: Callable[..., Any], async_config: MakeConfig, tmp_path: Path
) -> None:
    config = async_config(staleness=1)

    def one_lasts(texts: Generator) -> Mapping[str, Any]:
        return {"a": reviving(texts, lambda request: 1.0, lives=3, revivals=0), "b": streaming(texts, lambda request: 1.0)}

    assert play(config, tmp_path / "one", one_lasts).credits.account().balanced

    def none_lasts(texts: Generator) -> Mapping[str, Any]:
        return {name: reviving(texts, lambda request: 1.0, lives=3, revivals=0) for name in ("a", "b")}

    with pytest.raises(ExceptionGroup) as caught:
        play(config, tmp_path / "none", none_lasts)
    assert caught.group_contains(UserError, match=r"all generators are gone \(a, b\)")
