import json
from pathlib import Path

import pytest

from cluster.forecast import assumed_basis, foretell, parse_given, recorded_basis
from cluster.plan import Wanted, show_plan
from configs.errors import ConfigError, UserError
from configs.play_sections import ModelSection, SolverSection
from configs.schema import RunConfig
from configs.system_sections import GeneratorsSection, PipelineSection

SMALL = RunConfig(
    tasks_per_kind=2,
    solver=SolverSection(attempts=2),
    generators=GeneratorsSection(count=2),
    pipeline=PipelineSection(staleness=1),
)
GIVEN = {"step_s": 0.1, "update_s": 3.0, "admitted": 0.5}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["speed=1"], "--assume must name one of step_s"),
        (["update_s"], "--assume must be NAME=NUMBER"),
        (["update_s=-1"], "must be at least 0"),
        (["admitted=2"], "must be from 0 to 1"),
        (["rank_efficiency=0.5"], "must be above 0.5"),
    ],
)
def test_a_wrong_assumption_is_refused_by_name(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_given(words)


def test_each_latency_says_where_it_comes_from() -> None:
    basis = assumed_basis(SMALL, GIVEN, {"sequence_s": 0.01, "update_s": 9.0})
    assert basis is not None
    sources = {figure.name: (figure.value, figure.source) for figure in basis.figures}
    assert sources["update_s"] == (3.0, "given")
    assert sources["sequence_s"][1].startswith("assumed:")
    assert sources["solve_tokens"] == (16.0, "assumed: longest")
    assert sources["load_s"] == (0.0, "assumed: nothing")


def test_without_a_run_or_what_matters_there_is_no_forecast() -> None:
    assert assumed_basis(SMALL, {"step_s": 0.1}, {}) is None
    assert assumed_basis(SMALL, {"update_s": 0.1}, {}) is None
    big = SMALL.model_copy(update={"model": ModelSection(name_or_path="someone/nothing-7B")})
    with pytest.raises(ConfigError, match="give --run RUN, or --assume"):
        show_plan(big, Wanted(gpus=8), as_json=False)


def test_the_json_names_the_layouts_the_best_and_the_seed(capsys: pytest.CaptureFixture[str]) -> None:
    wanted = Wanted(gpus=6, assume=("step_s=0.1", "update_s=30"))
    show_plan(SMALL.model_copy(update={"seed": 5}), wanted, as_json=True)
    made = json.loads(capsys.readouterr().out.splitlines()[-1])["forecast"]
    assert made["seed"] == 5
    assert [item["generators"] + item["ranks"] for item in made["layouts"]] == [6] * len(made["layouts"])
    assert made["best"]["step_s"] == min(item["step_s"] for item in made["layouts"])
    assert made["latencies"]["update_s"] == {"value": 30.0, "source": "given"}


def test_layouts_that_cannot_be_are_refused() -> None:
    basis = assumed_basis(SMALL, GIVEN, {})
    assert basis is not None
    with pytest.raises(ConfigError, match="--gpus must be at least 2"):
        foretell(SMALL, basis, [], 1)
    with pytest.raises(ConfigError, match="below --gpus 4, got 4"):
        foretell(SMALL, basis, [1, 4], 4)
    with pytest.raises(ConfigError, match="--generators must be numbers"):
        show_plan(SMALL, Wanted(generators="1,two"), as_json=False)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a run directory"):
        recorded_basis(SMALL, tmp_path, {})
