"""Two runs are the same to the last bit, or the first place where they part is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from telemetry.same_curve import first_difference


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def written(name: str, *scalars: dict[str, float | None]) -> Path:
        run = tmp_path / name
        (run / "telemetry").mkdir(parents=True)
        lines = (
            json.dumps({"global_step": n, "phase": "self_play", "step": n, "scalars": told}) + "\n"
            for n, told in enumerate(scalars)
        )
        (run / "telemetry" / "steps.jsonl").write_text("".join(lines))
        return run

    return written


def test_what_a_clock_measured_may_differ(write: Any) -> None:
    one = write("one", {"loss": 0.1, "time/step": 1.0, "tokens/per_s": 9.0})
    assert first_difference(one, write("other", {"loss": 0.1, "time/step": 2.0, "tokens/per_s": 8.0})) == ""


def test_the_last_bit_counts_and_the_place_is_named(write: Any) -> None:
    one, other = write("one", {"a": 1.0}, {"a": 0.3}), write("other", {"a": 1.0}, {"a": 0.1 + 0.2})
    assert first_difference(one, other) == f"global step 1: a is 0.3 in {one}, 0.30000000000000004 in {other}"


@pytest.mark.parametrize("turned", [False, True])
def test_a_scalar_or_a_step_that_one_lacks_is_a_difference(write: Any, turned: bool) -> None:
    one, less, shorter = write("one", {"a": 1.0}, {"a": 2.0}), write("less", {}, {"a": 2.0}), write("shorter", {"a": 1.0})

    def found(other: Path) -> str:
        return first_difference(other, one) if turned else first_difference(one, other)

    assert found(less).startswith("global step 0: a is ")
    assert found(shorter) == f"{shorter} ends before global step 1"
