"""The table of an experiment from synthetic runs: each figure is what was written into the run directories."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from telemetry.arms import ArmFigures, ArmRuns, Head, read_arms, shared_items
from telemetry.arms_page import arms_page, band
from telemetry.arms_table import arms_json, arms_markdown
from telemetry.heldout import SuiteMarks

HEAD = Head(
    name="trial",
    question="Which is best?",
    base="tiny",
    suite="deduction",
    baseline="a",
    token_budget=1000,
    text="base: tiny\n",
)
STEPS = 20


@dataclass(frozen=True, kw_only=True)
class Fake:
    """What a synthetic run is to say; answers by suite and evaluation, scalars by step (from 1)."""

    suites: Mapping[str, Sequence[Sequence[int]]]
    scalars: Mapping[str, Sequence[float]] = field(default_factory=dict)
    tokens_per_step: float = 60.0
    prompts: str = "{suite} {item}"

    def write(self, run: Path) -> Path:
        (run / "telemetry").mkdir(parents=True)
        lines = [self._line(step) for step in range(STEPS + 1)]
        evals = [row for number, step in enumerate((0, STEPS)) for row in self._evals(number, step)]
        for name, rows in (("steps", lines), ("evals", evals)):
            (run / "telemetry" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return run

    def _line(self, step: int) -> dict[str, object]:
        scalars = {name: values[step - 1] for name, values in self.scalars.items()} if step else {}
        scalars |= {"tokens/total": self.tokens_per_step * step, "time/step": 2.0}
        if step in (0, STEPS):
            for suite, evaluations in self.suites.items():
                rights = evaluations[bool(step)]
                scalars[f"eval/{suite}/accuracy"] = sum(rights) / len(rights)
        return {"global_step": step + 1, "phase": "self_play", "step": step, "version": step, "scalars": scalars}

    def _evals(self, number: int, step: int) -> list[dict[str, object]]:
        return [
            {
                "global_step": step + 1,
                "suite": suite,
                "item": item,
                "right": bool(right),
                "prompt": self.prompts.format(suite=suite, item=item),
            }
            for suite, evaluations in self.suites.items()
            for item, right in enumerate(evaluations[number])
        ]


def answers(right: int, total: int = 20) -> list[int]:
    return [int(item < right) for item in range(total)]


def selfplay(after: int) -> Fake:
    ramp = [1 + step / 2 for step in range(STEPS)]
    return Fake(
        suites={"deduction": [answers(5), answers(after)], "abduction": [answers(1), answers(9)]},
        scalars={
            "valid/deduction": [0.2] * 18 + [0.8, 1.0],
            "valid/abduction": [0.5] * 20,
            "buffer/deduction": [10 * value for value in ramp],
            "diversity/deduction/all/of_seeds": [1.0] * 18 + [0.7, 0.9],
            "diversity/deduction/all/entropy": [3.0] * 20,
            "reward/deduction/propose": [-1.0, 1.0] * 10,
            "zero_std": [0.9] * 18 + [0.2, 0.4],
            "zero_std/deduction": [0.5] * 20,
        },
    )


def grpo(after: int) -> Fake:
    scalars = {"buffer/deduction": [100.0] * STEPS, "zero_std": [0.5] * STEPS, "reward/deduction/solve": [0.1] * STEPS}
    return Fake(suites={"deduction": [answers(5), answers(after)]}, scalars=scalars)


def arm(folder: Path, name: str, runs: Sequence[Fake], seeds: int = 3) -> ArmRuns:
    written = {seed: run.write(folder / f"{name}-s{seed}") for seed, run in enumerate(runs)}
    return ArmRuns(arm=name, runs=written, seeds=tuple(range(seeds)))


@pytest.fixture
def figures(tmp_path: Path) -> dict[str, ArmFigures]:
    arms = [
        arm(tmp_path, "a", [selfplay(12), selfplay(14), selfplay(13)]),
        arm(tmp_path, "b", [grpo(8), replace(grpo(10), tokens_per_step=30.0)]),
        arm(tmp_path, "c", []),
    ]
    return {one.runs.arm: one for one in read_arms(arms, "a")}


def test_an_arm_is_the_mean_of_its_finished_runs(figures: dict[str, ArmFigures]) -> None:
    one = figures["a"]
    deduction = one.suites["deduction"]
    assert (deduction.before.mean, deduction.after.mean) == (pytest.approx(0.25), pytest.approx(13 / 20))
    assert deduction.rise.mean == pytest.approx(8 / 20)
    assert deduction.rise.low < 0.4 < deduction.rise.high
    assert deduction.by_seed == {0: (0.25, 0.6), 1: (0.25, 0.7), 2: (0.25, 0.65)}
    assert (one.tokens, one.seconds) == (1200.0, 40.0)


def test_the_end_is_the_last_tenth_and_the_reward_is_of_the_whole_run(figures: dict[str, ArmFigures]) -> None:
    one = figures["a"]
    assert one.mean("valid") == {"deduction": pytest.approx(0.9), "abduction": pytest.approx(0.5)}
    assert one.mean("entropy") == {"deduction": pytest.approx(0.8)}
    assert one.mean("reward") == {"deduction": pytest.approx(0.0)}
    assert one.mean("growth") == {"deduction": pytest.approx(10.5)}
    assert one.zero_std == pytest.approx(0.3)


def test_what_an_arm_does_not_have_is_absent_and_not_zero(figures: dict[str, ArmFigures]) -> None:
    one = figures["b"]
    assert not any(one.mean(name) for name in ("valid", "growth", "entropy", "reward"))
    assert set(one.suites) == {"deduction"}
    assert one.zero_std == 0.5
    row = next(line for line in arms_markdown(HEAD, list(figures.values())).splitlines() if line.startswith("| b |  |"))
    assert row == "| b |  |  |  |  | 50 |"


def test_the_difference_is_paired_over_the_seeds_that_both_have(figures: dict[str, ArmFigures]) -> None:
    difference = figures["b"].suites["deduction"].difference
    assert difference is not None
    assert difference.mean == pytest.approx((8 - 12 + 10 - 14) / 2 / 20)
    assert difference.low < difference.mean < difference.high < 0, "both seeds differ by the same 4 items of 20"
    assert figures["a"].suites["deduction"].difference is None


def test_arms_without_runs_and_short_arms_are_marked(figures: dict[str, ArmFigures]) -> None:
    text = arms_markdown(HEAD, list(figures.values()))
    assert "| c | 0/3 |  |  |  |  |  |  |  |" in text
    assert re.search(r"^\| b \* \| 2/3 \|", text, re.MULTILINE)
    assert "* a run ended with fewer tokens than the budget." in text
    assert "4 runs are not finished; they are left out." in text
    assert "†" not in text


def test_the_smallest_rise_is_that_of_the_worst_seed(figures: dict[str, ArmFigures]) -> None:
    row = next(line for line in arms_markdown(HEAD, list(figures.values())).splitlines() if line.startswith("| a | 3/3 |"))
    assert row.split(" | ")[5] == "+35.0"


def test_arms_are_compared_on_the_items_that_all_were_asked(tmp_path: Path) -> None:
    """One arm was asked 30 items of which 20 are the others': only these count, and it is said."""
    wide = Fake(suites={"deduction": [answers(0, 30), [1] * 10 + [0] * 10 + [1] * 10]})
    arms = [arm(tmp_path, "a", [grpo(5)], 1), arm(tmp_path, "wide", [wide], 1)]
    narrow, other = read_arms(arms, "a")
    found = other.suites["deduction"]
    assert (found.num_items, found.num_left_out, found.after.mean) == (20, 10, 0.5)
    assert found.difference is not None
    assert found.difference.mean == pytest.approx(0.25)
    assert narrow.suites["deduction"].num_left_out == 0
    assert "| wide ‡ |" in arms_markdown(HEAD, [narrow, other])


def test_arms_without_a_common_item_are_not_compared(tmp_path: Path) -> None:
    other = replace(grpo(10), prompts="in another family: {item}")
    arms = [arm(tmp_path, "a", [grpo(5)], 1), arm(tmp_path, "other", [other], 1)]
    one, two = read_arms(arms, "a")
    assert one.suites["deduction"].after.mean == 0.25
    assert (two.suites["deduction"].after.mean, two.suites["deduction"].difference) == (0.5, None)


def test_shared_items_keep_the_order_of_the_first() -> None:
    def marks(items: str) -> SuiteMarks:
        return SuiteMarks(items=tuple(items), first=(0,) * len(items), last=(0,) * len(items), num_evaluations=1)

    assert shared_items([marks("dcba"), marks("abc"), marks("xyz"), marks("bcd")]) == ("c", "b")
    assert shared_items([]) == ()


def test_the_object_is_strict_json_with_the_figures_of_the_table(figures: dict[str, ArmFigures]) -> None:
    values = json.loads(json.dumps(arms_json(HEAD, list(figures.values())), allow_nan=False))
    assert values["experiment"]["token_budget"] == 1000
    assert values["arms"]["b"]["short"] is True
    assert values["arms"]["a"]["suites"]["deduction"]["by_seed"]["1"] == {"before": 0.25, "after": 0.7}
    assert values["arms"]["c"] == {
        **dict.fromkeys(("tokens", "seconds", "zero_std")),
        **{name: {} for name in ("suites", "valid", "growth", "entropy", "proposer_reward")},
        "seeds": [0, 1, 2],
        "done": [],
        "own_start": False,
        "short": False,
    }


def test_a_hostile_text_stays_text_in_the_page(figures: dict[str, ArmFigures]) -> None:
    page = arms_page(replace(HEAD, question="<script>alert(1)</script>", text="</pre><b>"), list(figures.values()))
    body = page[page.index("<body>") :]
    assert "<script>alert(1)" not in body
    assert "</pre><b>" not in body
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=", page), "nothing may be loaded from elsewhere"


def test_the_page_has_a_curve_per_arm_against_tokens(figures: dict[str, ArmFigures]) -> None:
    page = arms_page(HEAD, list(figures.values()))
    for title in ("held-out deduction (greedy)", "held-out abduction (greedy)", "deduction tasks in the buffer"):
        assert title in page
    assert page.index("held-out deduction (greedy)") < page.index("held-out abduction (greedy)")
    assert "tokens generated in self-play" in page
    assert "entropy of new deduction tasks, over that of the seeds" in page


def test_a_page_without_a_finished_run_is_small_and_says_so(tmp_path: Path) -> None:
    page = arms_page(HEAD, read_arms([arm(tmp_path, "a", [])], "a"))
    assert "0 of 3 runs" in page
    assert len(page) < 20_000


def test_the_band_goes_from_the_lowest_to_the_highest_run_at_equal_tokens() -> None:
    xs, means, lows, highs = band([((0, 0.0), (10, 1.0)), (), ((0, 0.0), (20, 1.0))])
    assert xs == [0, 10, 20]
    assert (means, lows, highs) == ([0, 0.75, 1], [0, 0.5, 1], [0, 1, 1])
    assert band([]) == ([], [], [], [])


def test_a_long_curve_is_thinned_with_both_ends_kept() -> None:
    xs, means, *_ = band([tuple((float(x), math.sin(x)) for x in range(5000))])
    assert len(xs) == 200
    assert (xs[0], xs[-1]) == (0, 4999)
    assert means[-1] == pytest.approx(math.sin(4999))
