import json
from pathlib import Path

import pytest

from cluster import cli


def told(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = cli.run(argv)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs that have only their configuration."""
    monkeypatch.chdir(tmp_path)
    for name, lr in (("a-s0", 1e-3), ("b-s0", 2e-3)):
        (tmp_path / "all" / name).mkdir(parents=True)
        (tmp_path / "all" / name / "config.yaml").write_text(f"seed: 0\nlearner: {{lr: {lr}}}\n")
    return tmp_path / "all"


@pytest.mark.parametrize("words", [("runs", "--root", "all", "compare"), ("runs", "compare", "--root", "all")])
def test_the_root_may_be_told_before_or_after_compare(
    capsys: pytest.CaptureFixture[str], root: Path, words: tuple[str, ...]
) -> None:
    code, out, _ = told(capsys, *words, "a-s0", "b-s0", "--json")
    assert code == 0
    assert json.loads(out.splitlines()[-1])["config"] == {"learner.lr": {"a": 1e-3, "b": 2e-3}}


def test_a_run_may_be_told_by_its_path(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    code, out, _ = told(capsys, "runs", "compare", str(root / "a-s0"), str(root / "b-s0"), "--markdown")
    assert code == 0
    assert "| learner.lr | 0.001 | 0.002 |" in out


def test_a_note_is_on_the_leaderboard_and_the_json_stays_as_it_was(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    (root / "b-s0" / "config.yaml").unlink()
    (root / "b-s0").rmdir()
    _, before, _ = told(capsys, "runs", "--root", "all", "--json")
    code, out, _ = told(capsys, "runs", "note", "a-s0", "[ ] a rarer | idea", "--root", "all")
    assert (code, out) == (0, "[ ] a rarer | idea\n")
    assert "[ ] a rarer \\| idea" in told(capsys, "runs", "--root", "all", "--markdown")[1]
    assert told(capsys, "runs", "--root", "all", "--json")[1] == before


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (("runs", "compare", "a-s0", "c-s0"), "c-s0 is not a run directory"),
        (("runs", "note", "c-s0", "hello"), "c-s0"),
        (("runs", "--json", "--markdown"), "--json must not come with --markdown"),
        (("runs", "compare", "a-s0"), "Missing argument"),
        (("runs", "comprae"), "comprae"),
    ],
)
def test_what_cannot_be_is_one_line(capsys: pytest.CaptureFixture[str], root: Path, argv: tuple[str, ...], part: str) -> None:
    code, _, err = told(capsys, argv[0], "--root", "all", *argv[1:])
    assert code in (1, 2)
    assert len(err.splitlines()) == 1
    assert part in err
