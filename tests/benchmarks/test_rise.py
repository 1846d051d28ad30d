import json
from pathlib import Path

import pytest

from benchmarks.rise import Rise, markdown, mean_difference, mean_rise, read_rise
from configs.errors import UserError


def run_with(folder: Path, evaluations: dict[int, list[bool]]) -> Path:
    (folder / "telemetry").mkdir(parents=True)
    rows = [
        {"global_step": step, "suite": "deduction", "item": item, "right": right, "prompt": f"{item} + 1 ="}
        for step, rights in evaluations.items()
        for item, right in enumerate(rights)
    ]
    (folder / "telemetry" / "evals.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_the_rise_is_from_the_first_to_the_last_evaluation_item_by_item(tmp_path: Path) -> None:
    run = run_with(tmp_path / "r", {0: [True, False, False, False], 5: [False] * 4, 9: [True, True, False, True]})
    rise = read_rise(run, "deduction")
    assert (rise.initial, rise.final, rise.changes) == (0.25, 0.75, (0, 1, 0, 1))


def test_the_interval_is_paired_so_that_equal_items_do_not_widen_it() -> None:
    steady = Rise(run="a", initial=0.5, final=0.6, total=100, changes=(1,) * 10 + (0,) * 90, last=())
    noisy = Rise(run="b", initial=0.5, final=0.6, total=100, changes=(1,) * 40 + (-1,) * 30 + (0,) * 30, last=())
    rise, other = mean_rise([steady]), mean_rise([noisy])
    assert rise.mean == pytest.approx(0.1)
    assert 0 < rise.low < rise.mean < rise.high
    assert other.high - other.low > 2 * (rise.high - rise.low)
    assert "+10.0" in markdown([steady, noisy])


def test_two_lists_of_runs_are_compared_run_by_run_and_item_by_item(tmp_path: Path) -> None:
    none, half, most = [False] * 4, [True, True, False, False], [True, True, True, False]
    mine, other = (
        [read_rise(run_with(tmp_path / f"{name}{seed}", {0: none, 9: last}), "deduction") for seed in (0, 1)]
        for name, last in (("mine", most), ("other", half))
    )
    found = mean_difference(mine, other)
    assert (found.mean, found.low) == (0.25, 0.0)
    assert "| mean difference from other0, other1 | | | +25.0 [+0.0, " in markdown(mine, other)
    with pytest.raises(UserError, match="--against must be given once for each run, got 1 for 2 runs"):
        mean_difference(mine, other[:1])
    short = read_rise(run_with(tmp_path / "short", {0: [False], 9: [True]}), "deduction")
    with pytest.raises(UserError, match="mine0 was asked 4 items and short 1"):
        mean_difference(mine[:1], [short])


def test_runs_without_two_evaluations_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least twice, found 1"):
        read_rise(run_with(tmp_path / "r", {0: [True]}), "deduction")
    with pytest.raises(UserError, match="cannot be read"):
        read_rise(tmp_path / "none", "deduction")
