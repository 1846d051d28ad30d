from pathlib import Path

import pytest

from configs.errors import UserError
from telemetry.notes import add_note, idea, read_notes


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    return tmp_path


def test_notes_are_kept_in_order(run_dir: Path) -> None:
    add_note(run_dir, "seed 3 was lucky")
    add_note(run_dir, "[ ] try 64\n attempts")
    assert read_notes(run_dir) == ["seed 3 was lucky", "[ ] try 64 attempts"]


def test_an_idea_is_ticked_off_where_it_stands(run_dir: Path) -> None:
    for text in ("[ ] one", "[ ] two", "[x] one"):
        add_note(run_dir, text)
    assert read_notes(run_dir) == ["[x] one", "[ ] two"]
    assert add_note(run_dir, "[ ] one") == ["[ ] one", "[ ] two"]


def test_a_plain_note_may_be_written_twice(run_dir: Path) -> None:
    assert add_note(run_dir, "again") + add_note(run_dir, "again") == ["again", "again", "again"]
    assert idea("again") == ""


@pytest.mark.parametrize("text", ["", "  ", "[x]", "[ ] "])
def test_an_empty_note_is_refused(run_dir: Path, text: str) -> None:
    with pytest.raises(UserError, match="TEXT must say something"):
        add_note(run_dir, text)


def test_a_folder_that_is_no_run_gets_no_note(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must be a run directory"):
        add_note(tmp_path, "hello")
    assert not list(tmp_path.iterdir())
