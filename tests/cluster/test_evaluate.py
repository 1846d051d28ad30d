"""`azr eval` asks a real (tiny, untrained) model, tells and keeps what came of it, and checks references without one."""

import json
from pathlib import Path

import pytest

from cluster.eval_suites import Wanted
from cluster.evaluate import evaluate_checkpoint, verify_references
from configs.errors import ConfigError, UserError
from configs.play_sections import StandInSection
from learner.stand_in import build_model, build_tokenizer, save
from tasks.python.family import PythonFamily

KEYS = {"right", "total", "accuracy", "low", "high", "groups", "reasons", "left_out", "max_tokens", "items"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    tokenizer = build_tokenizer(PythonFamily.alphabet, PythonFamily.words)
    save(build_model(StandInSection(hidden_size=32, num_layers=1, num_heads=1), len(tokenizer)), tokenizer, path)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    humaneval = {
        "task_id": "HumanEval/0",
        "prompt": 'def half(n):\n    """ Half. """\n',
        "entry_point": "half",
        "canonical_solution": "    return n / 2\n",
        "test": "def check(candidate):\n    assert candidate(8) == 4\n",
    }
    cruxeval = {"code": "def f(n):\n    return n + 1", "input": "1", "output": "2", "id": "one"}
    for name, rows in (
        ("humaneval/HumanEval.jsonl", [humaneval]),
        ("cruxeval/cruxeval_first400.jsonl", [cruxeval, cruxeval | {"id": "two", "output": "3"}]),
    ):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_each_suite_has_its_line_its_file_and_its_figures(model: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = root / "deduction.jsonl"
    mine.write_text('{"prompt": "1 + 1 = ", "answer": "2"}\n')
    out = root / "new" / "out"
    wanted = Wanted(suites=("humaneval", "cruxeval-o", "deduction"), data=(str(mine),), data_root=root, limit=2, max_tokens=3)
    evaluate_checkpoint(str(model), wanted, engine="transformers", prompt_format="", out=out, as_json=True)
    *lines, last = capsys.readouterr().out.splitlines()
    told = json.loads(last)
    assert {name: told[name] for name in ("checkpoint", "model", "engine")} == {
        "checkpoint": str(model),
        "model": str(model),
        "engine": "transformers",
    }
    totals = {"humaneval": 1, "cruxeval-o": 1, "deduction": 2, "deduction-2": 1}
    assert {name: suite["total"] for name, suite in told["suites"].items()} == totals
    assert told["suites"]["cruxeval-o"]["left_out"] == {"recorded_output": 1}
    assert any("1 rows are left out (recorded_output): two" in line for line in lines)
    for name, total in totals.items():
        suite = told["suites"][name]
        assert set(suite) == KEYS
        assert any(line.startswith(f"{name} ") and f"/{total}" in line for line in lines)
        rows = [json.loads(line) for line in (out / f"{name}.jsonl").read_text().splitlines()]
        assert suite["items"] == str(out / f"{name}.jsonl")
        assert sum(row["right"] for row in rows) == suite["right"]
        assert all(list(row) == ["id", "prompt", "completion", "expected", "right", "reason"] for row in rows)
        assert all(row["right"] == (row["reason"] == "ok") for row in rows)
    assert {path.name for path in out.iterdir()} == {f"{name}.jsonl" for name in totals}


def test_without_out_no_file_is_written(model: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(root.rglob("*"))
    monkeypatch.chdir(root)
    wanted = Wanted(suites=("deduction",), limit=1, max_tokens=2)
    evaluate_checkpoint(str(model), wanted, engine="transformers", prompt_format="plain", out=None, as_json=False)
    assert set(root.rglob("*")) == before


def test_references_are_checked_without_a_checkpoint_and_what_does_not_hold_is_named(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verify_references("", Wanted(suites=("humaneval", "deduction"), data_root=root), out=None, as_json=True)
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["checkpoint"], told["model"], told["engine"]) == (None, None, None)
    assert told["suites"]["humaneval"]["reasons"] == {"ok": 1}
    broken = root / "humaneval" / "HumanEval.jsonl"
    broken.write_text(broken.read_text().replace("n / 2", "n / 3"))
    with pytest.raises(UserError, match=r"^1 recorded answers do not hold: humaneval HumanEval/0 \(AssertionError\)"):
        verify_references("", Wanted(suites=("humaneval",), data_root=root), out=root, as_json=False)
    assert json.loads((root / "humaneval.jsonl").read_text())["right"] is False
    with pytest.raises(UserError, match=r"^1 recorded answers do not hold: rows left out"):
        verify_references("", Wanted(suites=("cruxeval-o",), data_root=root), out=None, as_json=False)


def test_what_is_missing_on_the_command_line_is_one_line(root: Path) -> None:
    with pytest.raises(ConfigError, match="checkpoint must be given"):
        evaluate_checkpoint("", Wanted(), engine="transformers", prompt_format="", out=None, as_json=False)
    with pytest.raises(ConfigError, match="--references must come with --suite"):
        verify_references("", Wanted(), out=None, as_json=False)
    (root / "file").write_text("")
    with pytest.raises(ConfigError, match="--out must be a folder"):
        verify_references("", Wanted(suites=("humaneval",), data_root=root), out=root / "file", as_json=False)
