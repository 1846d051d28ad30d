from pathlib import Path

import pytest

from cluster.experiment import Experiment, find_experiment, load_experiment, shipped_experiments
from configs.errors import ConfigError

GOOD = """
base: smoke
question: Does it work?
token_budget: 1000
baseline: a
arms:
  a: {}
  b:
    solver.attempts: 5
"""


def load(folder: Path, text: str) -> Experiment:
    file = folder / "trial.yaml"
    file.write_text(text)
    return load_experiment(file)


def test_a_file_is_read_with_its_defaults(tmp_path: Path) -> None:
    experiment = load(tmp_path, GOOD)
    assert (experiment.seeds, experiment.suite, experiment.overrides) == ((0, 1, 2), "deduction", {})
    assert experiment.arms == {"a": {}, "b": {"solver.attempts": 5}}


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (("question:", "qestion:"), ["unknown key qestion", "did you mean question?"]),
        (("question:", "zzz:"), ["unknown key zzz", "known: base, question"]),
        (("base: smoke\n", ""), ["base must be given"]),
        (("baseline: a", "baseline: c"), ["baseline must be one of the arms (a, b), got c"]),
        (("token_budget: 1000", "token_budget: 0"), ["token_budget", "greater than or equal to 1"]),
        (("token_budget: 1000", "token_budget: true"), ["token_budget must be a number, got true"]),
        (("token_budget: 1000", "token_budget: many"), ["token_budget must be a whole number, got many"]),
        (("  a: {}", "  a:"), ["arms.a must be a mapping"]),
        (("  a: {}", "  a/b: {}"), ["arms.a/b", "plain name"]),
        (("  a: {}", "  a:\n    run.name: x"), ["arms.a must not set run.name"]),
        (("arms:", "overrides:\n  seed: 1\narms:"), ["overrides must not set seed"]),
        (("arms:", "seeds: [1, 1]\narms:"), ["seeds must be distinct"]),
        (("arms:", "seeds: []\narms:"), ["seeds must not be empty"]),
        (("arms:", "seeds: [-1]\narms:"), ["seeds.0", "greater than or equal to 0"]),
        (("  a: {}", "  a: {}\n  a: {}"), ["written twice"]),
    ],
)
def test_whatever_is_wrong_is_one_line_that_names_the_file_and_the_key(
    tmp_path: Path, change: tuple[str, str], parts: list[str]
) -> None:
    assert change[0] in GOOD
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, GOOD.replace(*change, 1))
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for part in parts:
        assert part in message
    assert "trial.yaml" in message


def test_an_experiment_is_found_by_path_or_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(GOOD)
    assert find_experiment("mine.yaml") == Path("mine.yaml")
    assert find_experiment("ablations").name == find_experiment("ablations.yaml").name == "ablations.yaml"
    with pytest.raises(ConfigError, match=r"one of ablations, .*got 'nowhere'"):
        find_experiment("nowhere")


def test_the_shipped_experiments_are_those_that_the_documentation_names() -> None:
    assert shipped_experiments() == ["ablations", "journal-attempts", "journal-grpo", "selfplay-vs-grpo"]
