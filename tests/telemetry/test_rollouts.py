import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from buffers.ledger import FOLDER, Event, Ledger
from telemetry.history import read_history
from telemetry.jsonl import folder, read_lines
from telemetry.rollouts import TEXT_CHARACTERS, PackedRollouts, pack_rollouts
from tests.telemetry.played import write_played

ATTEMPTS = ("deduction-0@1#0", "deduction-0@1#6", "deduction-0@1#7", "deduction-0@1#8", "unknown@1#0")


def pack(run_dir: Path, most: int = 1000) -> PackedRollouts:
    packed = pack_rollouts(run_dir, read_history(run_dir), most)
    assert packed
    return packed


def rows_of(table: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows again, as web/rollouts.js reads the columns."""
    columns = {
        name: column if isinstance(column, list) else [column["values"][code] for code in column["codes"]]
        for name, column in table.items()
    }
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def unpacked(packed: PackedRollouts) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    tables = json.loads(gzip.decompress(base64.b64decode(packed.data)))
    return rows_of(tables["rollouts"]), rows_of(tables["tasks"])


def test_every_proposal_and_attempt_is_carried_with_its_reward_and_advantage(tmp_path: Path) -> None:
    total = write_played(tmp_path, steps=3, tasks=2, attempts=4)
    packed = pack(tmp_path)
    rollouts, tasks = unpacked(packed)
    assert packed.kept == packed.total == total == len(rollouts)
    lines = [*read_lines(folder(tmp_path) / "proposals.jsonl"), *read_lines(folder(tmp_path) / "attempts.jsonl")]
    found = {row["id"]: row for row in rollouts}
    for line in lines:
        row = found[line.get("attempt_id") or line["proposal_id"]]
        assert row["story"] == line.get("task_id", line.get("proposal_id"))
        for name in ("step", "version", "kind", "role", "status", "reason", "prompt", "text"):
            assert row[name] == line[name]
        for name in ("reward", "advantage"):
            assert row[name] == (line[name] and pytest.approx(line[name], rel=1e-3))
        assert row["references"] == line.get("references", "")
        assert row["trained"] == line.get("trained")
        assert row["dropped"] == line["dropped"]
    assert {row["phase"] for row in rollouts} == {"seeding", "self_play"}
    assert {row["task_id"] for row in tasks} == {line["task_id"] for line in lines if "task_id" in line}


def test_a_story_is_carried_whole_or_not_at_all_and_no_part_of_the_run_is_preferred(tmp_path: Path) -> None:
    write_played(tmp_path, steps=30, tasks=4, attempts=6)
    packed, everything = pack(tmp_path, most=700), pack(tmp_path, most=10**6)
    assert 650 < packed.kept <= 700 < packed.total == everything.kept
    (kept, tasks), (rows, _) = unpacked(packed), unpacked(everything)
    stories = {row["story"] for row in kept}
    assert [row["id"] for row in kept] == [row["id"] for row in rows if row["story"] in stories]
    assert {row["task_id"] for row in tasks} == stories & {row["story"] for row in rows if row["role"] == "solve"}
    for first in (1, 11, 21):
        share = sum(first <= row["step"] < first + 10 for row in kept) / len(kept)
        assert 0.2 < share < 0.47, "a third of the steps has about a third of the rollouts"


def test_text_of_any_kind_is_carried_and_a_long_one_is_cut_and_says_so(tmp_path: Path) -> None:
    hostile = "</script>\x00\u202e\ud800😀" + "z" * 2 * TEXT_CHARACTERS
    write_played(tmp_path, steps=1, tasks=1, attempts=1, hostile=hostile)
    rollouts, _ = unpacked(pack(tmp_path))
    text = next(row["text"] for row in rollouts if row["id"] == "hostile")
    assert text.startswith("</script>\x00\u202e")
    assert text.endswith(f"zzz … ({len(read_text(tmp_path)):,} characters)")
    assert len(text) < TEXT_CHARACTERS + 40


def read_text(run_dir: Path) -> str:
    lines = read_lines(folder(run_dir) / "proposals.jsonl")
    return str(next(line["text"] for line in lines if line["proposal_id"] == "hostile"))


def test_rows_of_an_older_run_that_lack_a_column_are_carried(tmp_path: Path) -> None:
    write_played(tmp_path, steps=1, tasks=1, attempts=1)
    for name in ("proposals", "attempts"):
        path = folder(tmp_path) / f"{name}.jsonl"
        old = [{key: line[key] for key in line if key not in ("references", "trained", "dropped")} for line in read_lines(path)]
        path.write_text("".join(json.dumps(line) + "\n" for line in old))
    rollouts, _ = unpacked(pack(tmp_path))
    assert {row["references"] for row in rollouts} == {""}
    assert {row["trained"] for row in rollouts} == {None}
    assert {row["dropped"] for row in rollouts} == {None}


def test_what_was_dropped_without_a_row_is_named_from_the_ledger_unless_it_was_asked_again(tmp_path: Path) -> None:
    write_played(tmp_path, steps=1, tasks=1, attempts=1)
    told, late, lost, again, other = (f"step1-{name}" for name in ATTEMPTS)
    ledger = Ledger(tmp_path / FOLDER)
    ledger.record(Event.ATTEMPTED, [told, late, lost, again, other])
    ledger.record(Event.JUDGED, [told, late])
    ledger.record(Event.TRAINED, [told])
    ledger.record(Event.DROPPED, [late, again, other], "too_stale")
    ledger.record(Event.DROPPED, [lost], "generator_died")
    ledger.seal()
    ledger.record(Event.ATTEMPTED, [again])
    ledger.record(Event.JUDGED, [again])
    ledger.record(Event.TRAINED, [again])
    ledger.close()
    packed = json.loads(gzip.decompress(base64.b64decode(pack(tmp_path).data)))
    assert list(zip(*packed["untold"].values(), strict=True)) == [
        ("step1-deduction-0", late, "too_stale"),
        ("step1-deduction-0", lost, "generator_died"),
    ]


def test_a_run_without_rollouts_has_nothing_to_pack(tmp_path: Path) -> None:
    assert pack_rollouts(tmp_path, read_history(tmp_path)) is None
