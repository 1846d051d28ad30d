from pathlib import Path

import pytest

from cluster.arm_runs import ArmRun, plan_runs, refuse_other_settings
from cluster.experiment import find_experiment, load_experiment, shipped_experiments
from cluster.run_directory import differing_keys, open_run
from configs.errors import ConfigError, UserError
from configs.loader import load_config
from telemetry.status import RunStatus, write_status

GOOD = """
base: smoke
question: Does it work?
token_budget: 1000
baseline: a
overrides:
  telemetry.wandb: disabled
arms:
  a: {}
  b:
    learner.lr: 1e-4
"""
GRPO = """
    mode: grpo
    dataset: arithmetic-100
    family.kinds: [deduction]
"""


def plan(folder: Path, text: str = GOOD, seeds: tuple[int, ...] = (0, 1)) -> list[ArmRun]:
    file = folder / "trial.yaml"
    file.write_text(text)
    return plan_runs(file, load_experiment(file), folder / "runs" / "trial", seeds)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        plan(folder, text)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def test_every_arm_is_run_at_every_seed_with_the_same_budget(tmp_path: Path) -> None:
    runs = plan(tmp_path)
    assert [run.name for run in runs] == ["a-s0", "b-s0", "a-s1", "b-s1"]
    assert [run.path for run in runs] == [tmp_path / "runs" / "trial" / run.name for run in runs]
    assert {run.config.run.token_budget for run in runs} == {1000}
    assert {run.config.run.steps for run in runs} == {1_000_000}
    assert [run.config.seed for run in runs] == [0, 0, 1, 1]
    assert [run.config.learner.lr for run in runs] == [5e-4, 1e-4] * 2
    assert {run.config.telemetry.wandb for run in runs} == {"disabled"}


def test_the_command_line_says_the_same_as_the_configuration(tmp_path: Path) -> None:
    text = GOOD.replace("    learner.lr: 1e-4", "    run.notes: '7: \"é\" # no comment'\n    kind_weights: {deduction: 2}")
    for run in plan(tmp_path, text):
        assert load_config(run.base, run.overrides) == run.config
    assert run.config.run.notes == '7: "é" # no comment'


def test_an_arm_may_end_by_steps(tmp_path: Path) -> None:
    assert plan(tmp_path, GOOD.replace("learner.lr: 1e-4", "run.steps: 7"))[1].config.run.steps == 7


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (("learner.lr", "learner.rl"), ["trial.yaml, b:", "learner.rl", "did you mean learner.lr?"]),
        (("learner.lr: 1e-4", "learner.lr: -1"), ["trial.yaml, b:", "learner.lr must be greater than 0"]),
        (("telemetry.wandb: disabled", "telemetry.wandb: of"), ["trial.yaml, a:", "telemetry.wandb"]),
        (("learner.lr: 1e-4", "solver: {attempts: 4}"), ["trial.yaml, b:", "solver.attempts", "key by key"]),
        (("learner.lr: 1e-4", "run.notes: 2024-01-01"), ["trial.yaml, b:", "quote it"]),
        (("learner.lr: 1e-4", "family.options: {max_operand: -1}"), ["trial.yaml, b:", "family.options", "max_operand"]),
        (("learner.lr: 1e-4", "family.name: arithmetik"), ["trial.yaml, b:", "did you mean arithmetic?"]),
        (("learner.lr: 1e-4", "mode: grpo"), ["trial.yaml, b:", "dataset"]),
        (("    learner.lr: 1e-4", GRPO.replace("-100", "-7")), ["trial.yaml, b:", "dataset", "arithmetic-100", "arithmetic-7"]),
        (("    learner.lr: 1e-4", GRPO.replace("[deduction]", "[abduction]")), ["trial.yaml, b:", "abduction"]),
        (("base: smoke", "base: smok"), ["trial.yaml, base:", "smoke"]),
        (("baseline: a", "baseline: a\nsuite: deductoin"), ["trial.yaml, a:", "suite", "deductoin", "deduction"]),
    ],
)
def test_an_arm_that_cannot_be_is_named_before_anything_starts(
    tmp_path: Path, change: tuple[str, str], parts: list[str]
) -> None:
    assert change[0] in GOOD
    message = refusal(tmp_path, GOOD.replace(*change))
    for part in parts:
        assert part in message
    assert not (tmp_path / "runs").exists()


def test_a_base_beside_the_file_is_taken_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("tasks_per_kind: 3\n")
    run = plan(tmp_path, GOOD.replace("base: smoke", "base: mine.yaml"))[0]
    assert run.base == str(tmp_path / "mine.yaml")
    assert run.config.tasks_per_kind == 3


def test_arms_of_one_family_start_from_one_model_also_those_of_fewer_kinds(tmp_path: Path) -> None:
    """By itself an arm that plays deduction alone would be warmed up for deduction alone."""
    alone, grpo = plan(tmp_path, GOOD.replace("    learner.lr: 1e-4", GRPO))[:2]
    assert alone.model == grpo.model
    assert alone.config.model.name_or_path == "stand-in"
    assert grpo.config.model.name_or_path == alone.model
    assert grpo.start is not None
    assert load_config(grpo.start.base, grpo.start.overrides).family.kinds == ("deduction", "abduction", "induction")


@pytest.mark.parametrize("change", ["proposer.references: 0", "family.name: mixed", "model.stand_in.seed: 1"])
def test_an_arm_of_another_recipe_starts_from_its_own_model(tmp_path: Path, change: str) -> None:
    one, other = plan(tmp_path, GOOD.replace("learner.lr: 1e-4", change))[:2]
    assert one.model != other.model


def test_a_model_that_exists_is_not_made(tmp_path: Path) -> None:
    (run, *_) = plan(tmp_path, GOOD.replace("telemetry.wandb: disabled", "model.name_or_path: some/model"))
    assert (run.start, run.model) == (None, "some/model")


def test_a_run_directory_with_other_settings_is_refused_with_the_key(tmp_path: Path) -> None:
    run = plan(tmp_path)[1]
    refuse_other_settings(run)
    with open_run(run.config, ["azr"]):
        pass
    refuse_other_settings(run)
    changed = plan(tmp_path, GOOD.replace("1e-4", "2e-4").replace("budget: 1000", "budget: 2000"))[1]
    with pytest.raises(ConfigError) as caught:
        refuse_other_settings(changed)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert f"arm b: {run.path} holds a run with other settings: run.token_budget: 1000 -> 2000 (and 1 more)" in message


def test_a_run_is_done_when_it_ended_by_itself_with_all_its_tokens(tmp_path: Path) -> None:
    run = plan(tmp_path)[0]
    assert not run.done
    run.path.mkdir(parents=True)
    for status, tokens, done in (("finished", 1000, True), ("finished", 999, False), ("failed", 1000, False)):
        write_status(run.path, RunStatus(status=status, step=5, tokens=tokens))
        assert run.done == done
    (run.path / "status.json").write_text("{")
    with pytest.raises(UserError, match="delete it"):
        _ = run.done


@pytest.mark.parametrize("name", shipped_experiments())
def test_every_arm_of_every_shipped_experiment_can_be_run_and_is_another(name: str, tmp_path: Path) -> None:
    file = find_experiment(name)
    experiment = load_experiment(file)
    runs = plan_runs(file, experiment, tmp_path, experiment.seeds)
    assert len(experiment.seeds) >= 3
    assert len(runs) == len(experiment.seeds) * len(experiment.arms)
    first = runs[: len(experiment.arms)]
    same = [
        (one.arm, other.arm)
        for number, one in enumerate(first)
        for other in first[:number]
        if not differing_keys(one.config, other.config)
    ]
    assert not same, "two arms with one configuration: the base has changed; change the experiment"


def test_what_is_compared_with_self_play_starts_where_it_starts(tmp_path: Path) -> None:
    file = find_experiment("selfplay-vs-grpo")
    runs = plan_runs(file, load_experiment(file), tmp_path, (0,))
    assert len({run.model for run in runs}) == 1
    assert {run.arm for run in runs} >= {"selfplay", "frozen-proposer", "random-proposer", "grpo-100", "grpo-500"}


def test_the_documented_experiment_can_be_run(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "experiments.md").read_text()
    runs = plan(tmp_path, page.split("```yaml\n")[1].split("```")[0], (0, 1, 2))
    assert {run.config.solver.attempts for run in runs} == {4, 16}
    assert {run.config.run.token_budget for run in runs} == {600_000}
