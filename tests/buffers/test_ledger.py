"""The ledger: nothing is lost or counted twice, wherever a crash cuts its journal."""

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from buffers.ledger import SETTLED, Book, Event, Ledger, event_of
from buffers.ledger_files import FIRST, read_records, segment_path
from configs.errors import UserError


def replayed(folder: Path) -> Book:
    """All records on disk through the state machine, as an audit reads them."""
    book = Book()
    for record in read_records(folder):
        for word in record.words:
            assert book.apply(word, record.ids) == []
    return book


def play_step(ledger: Ledger, step: int) -> None:
    """Four proposals of which one is refused, two attempts at each of two tasks and at one from a buffer."""
    names = [f"step{step}-deduction-{number}" for number in range(4)]
    ledger.record(Event.PROPOSED, names)
    ledger.record(Event.ADMITTED, names[:3])
    ledger.record(Event.REFUSED, names[3:], "syntax")
    attempts = [f"{task}@{step}#{attempt}" for task in (*names[:2], "zero-0") for attempt in range(2)]
    ledger.record(Event.ATTEMPTED, attempts)
    ledger.record(Event.JUDGED, attempts[:5])
    ledger.record(Event.DROPPED, attempts[5:], "generator_died")
    ledger.record(Event.TRAINED, [*names[:2], names[3], *attempts[:5]])
    ledger.record_reasons(Event.DROPPED, {names[2]: "surplus"})


def settled(folder: Path) -> Counter[str]:
    return Counter(word for record in read_records(folder) for word in (record.words[-1],) for _ in record.ids)


def test_a_sealed_segment_names_each_id_once_and_says_the_same(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    play_step(ledger, 1)
    before = replayed(tmp_path).chains()
    assert ledger.seal() == FIRST + 1
    ids = [name for record in read_records(tmp_path) for name in record.ids]
    assert len(ids) == len(set(ids)) == 10
    assert {words: set(names) for words, names in replayed(tmp_path).chains().items()} == {
        words: set(names) for words, names in before.items()
    }
    ledger.close()


@pytest.mark.parametrize(
    ("events", "name"),
    [
        ([(Event.TRAINED, "a")], "a cannot be trained after nothing"),
        ([(Event.PROPOSED, "a"), (Event.PROPOSED, "a")], "a cannot be proposed after proposed"),
        ([(Event.ATTEMPTED, "b@1#0"), (Event.TRAINED, "b@1#0")], "b@1#0 cannot be trained after attempted"),
        ([(Event.PROPOSED, "a"), (Event.ATTEMPTED, "a@1#0")], "a@1#0 cannot be attempted after nothing"),
        ([(Event.PROPOSED, "a"), (Event.DROPPED, "a"), (Event.TRAINED, "a")], "a cannot be trained after dropped"),
        (
            [(Event.ATTEMPTED, "b@1#0"), (Event.JUDGED, "b@1#0"), (Event.TRAINED, "b@1#0"), (Event.ATTEMPTED, "b@1#0")],
            "b@1#0 cannot be attempted after trained",
        ),
    ],
)
def test_an_event_that_cannot_follow_is_an_assertion_that_names_the_id(
    tmp_path: Path, events: list[tuple[Event, str]], name: str
) -> None:
    ledger = Ledger(tmp_path)
    for event, one in events[:-1]:
        ledger.record(event, [one])
    with pytest.raises(AssertionError, match=name):
        ledger.record(events[-1][0], [events[-1][1]])
    ledger.close()


def test_what_is_on_its_way_at_a_seal_goes_on_after_a_resume(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.record(Event.PROPOSED, ["a", "b"])
    ledger.record(Event.ADMITTED, ["a"])
    position = ledger.seal()
    ledger.record(Event.DROPPED, ["a", "b"], "stale")
    ledger.close()
    resumed = Ledger(tmp_path, position)
    assert resumed.unsettled() == {"a": "admitted", "b": "proposed"}
    resumed.record(Event.ATTEMPTED, ["a@2#0"])
    with pytest.raises(AssertionError, match="b@2#0 cannot be attempted"):
        resumed.record(Event.ATTEMPTED, ["b@2#0"])
    resumed.record(Event.DROPPED, ["a", "b", "a@2#0"], "stale")
    resumed.seal()
    assert set(replayed(tmp_path).unsettled()) == set()
    resumed.close()


def test_what_is_withdrawn_may_be_asked_for_again_and_be_refused_this_time(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    play_step(ledger, 1)
    ledger.record(Event.PROPOSED, ["a"])
    ledger.record(Event.ADMITTED, ["a"])
    ledger.record(Event.ATTEMPTED, ["a@2#0"])
    position = ledger.seal()
    ledger.close()
    resumed = Ledger(tmp_path, position)
    assert resumed.withdraw() == 2
    with pytest.raises(AssertionError, match="a@2#0 cannot be attempted"):
        resumed.record(Event.ATTEMPTED, ["a@2#0"])
    resumed.record(Event.PROPOSED, ["a"])
    resumed.record(Event.ADMITTED, ["a"])
    resumed.record(Event.ATTEMPTED, ["a@2#0"])
    resumed.record(Event.DROPPED, ["a", "a@2#0"], "stale")
    assert resumed.seal() == position + 1
    resumed.close()
    assert replayed(tmp_path).unsettled() == {}


def test_damage_in_the_middle_is_an_error_that_names_file_and_offset_and_a_torn_end_is_none(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    play_step(ledger, 1)
    ledger.close()
    path = segment_path(tmp_path, FIRST)
    whole = path.read_bytes()
    assert len(list(read_records(tmp_path))) == 8
    path.write_bytes(whole[:-1])
    assert len(list(read_records(tmp_path))) == 7
    offset = whole.index(b"\n", 40) + 1
    path.write_bytes(whole[: offset + 12] + b"X" + whole[offset + 13 :])
    with pytest.raises(UserError, match=rf"segment-000001\.jsonl is damaged at byte {offset};"):
        list(read_records(tmp_path))


def test_a_sealed_segment_that_is_cut_at_a_line_or_gone_is_an_error(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    play_step(ledger, 1)
    position = ledger.seal()
    ledger.close()
    path = segment_path(tmp_path, FIRST)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    with pytest.raises(UserError, match=r"segment-000001\.jsonl ends at byte \d+ with \d+ of \d+ records"):
        list(read_records(tmp_path))
    path.unlink()
    with pytest.raises(UserError, match=r"segment-000001\.jsonl is missing"):
        Ledger(tmp_path, position)


def test_a_full_disk_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be written \(.*\); free disk space") as caught:
        Ledger(Path("/proc/nothing/can/be/made/here"))
    assert "\n" not in str(caught.value)


@settings(max_examples=40)
@given(st.lists(st.sampled_from(["step", "seal", "crash", "crash_in_seal"]), max_size=25), st.integers(0, 2**32))
def test_whatever_byte_a_crash_cuts_the_journal_at_the_balance_holds_after_the_resume(
    tmp_path_factory: pytest.TempPathFactory, actions: list[str], seed: int
) -> None:
    """As the loop uses it: what a crash takes is what came after the newest checkpoint, and that is done again."""
    folder, rng = tmp_path_factory.mktemp("ledger"), random.Random(seed)
    ledger, step, checkpoint = Ledger(folder), 0, (FIRST, 0)
    for action in actions:
        if action == "step":
            step += 1
            play_step(ledger, step)
        elif action == "seal":
            checkpoint = (ledger.seal(), step)
        else:
            if action == "crash_in_seal":
                ledger.seal()  # and the checkpoint never appears
            ledger.close()
            newest = max(folder.iterdir())
            newest.write_bytes(newest.read_bytes()[: rng.randrange(newest.stat().st_size + 1)])
            seen = [name for record in read_records(folder) for name in record.ids if record.words[0] in ("proposed",)]
            assert len(seen) == len(set(seen))
            position, step = checkpoint
            ledger = Ledger(folder, position)
    ledger.seal()
    ledger.close()
    book = replayed(folder)
    assert book.unsettled() == {}
    assert settled(folder) == Counter({"trained": 8 * step, "dropped:generator_died": step, "dropped:surplus": step})


@given(st.data())
def test_work_of_different_steps_may_interleave_and_only_legal_orders_pass(data: st.DataObject) -> None:
    """Against a plain statement of the rules: a sequence of events is legal exactly when it is a beginning of one of these."""
    settled = (
        ["proposed", "admitted", "trained"],
        ["proposed", "admitted", "dropped"],
        ["proposed", "refused", "trained"],
        ["proposed", "refused", "dropped"],
        ["proposed", "dropped"],
        ["attempted", "judged", "trained"],
        ["attempted", "judged", "dropped"],
        ["attempted", "dropped"],
    )
    ended = [[*path[:length], word] for path in settled for length in range(1, len(path)) for word in ("withdrawn", "dropped")]
    whole = [*settled, *([*first, *second] for first in ended for second in settled)]
    book, histories = Book(), {name: list[str]() for name in ("a", "b", "c@1#0")}
    for _ in range(data.draw(st.integers(0, 20))):
        name = data.draw(st.sampled_from(sorted(histories)))
        word = data.draw(st.sampled_from([event.value for event in Event]))
        longer = [*histories[name], word]
        assume(longer.count("withdrawn") + longer.count("dropped") <= 1)
        legal = any(path[: len(longer)] == longer for path in whole)
        assert (book.apply(word, [name]) == []) == legal
        if legal:
            histories[name] = longer
    unsettled = {name: words[-1] for name, words in histories.items() if words and event_of(words[-1]) not in SETTLED}
    assert book.unsettled() == unsettled
