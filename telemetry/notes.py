"""What a person wrote about a run, a line each, in `notes.txt`; `[ ] idea` and `[x] idea` are ideas, open and done.

Invariant: an idea stands there once; writing it again with the other mark ticks it off or opens it.
"""

from pathlib import Path

from configs.errors import UserError
from telemetry.atomic import write_atomically

FILE = "notes.txt"
OPEN, DONE = "[ ] ", "[x] "


def read_notes(run_dir: Path) -> list[str]:
    """The lines, oldest first; none when nobody wrote any. OSError or ValueError when the file cannot be read."""
    path = run_dir / FILE
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()] if path.exists() else []


def add_note(run_dir: Path, text: str) -> list[str]:
    """Adds a line, or changes the mark of an idea that is there; returns all lines. UserError for an empty text."""
    note = " ".join(text.split())
    if not note or note + " " in (OPEN, DONE):
        raise UserError("TEXT must say something, got none; write `[ ] an idea` for an idea and `[x] an idea` when it is done")
    if not (run_dir / "config.yaml").is_file():
        raise UserError(f"RUN must be a run directory, got {run_dir}; `azr runs` lists them")
    lines = read_notes(run_dir)
    same = [place for place, line in enumerate(lines) if idea(line) and idea(line) == idea(note)]
    if same:
        lines[same[0]] = note
    else:
        lines.append(note)
    write_atomically(run_dir / FILE, "".join(f"{line}\n" for line in lines))
    return lines


def idea(line: str) -> str:
    """The idea of a line without its mark; empty when it is no idea."""
    return line[len(OPEN) :] if line.startswith((OPEN, DONE)) else ""
