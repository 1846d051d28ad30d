import json
import os
import signal
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.sandbox.encoding import Encoder
from verifier.sandbox.host import Ended
from verifier.sandbox.protocol import (
    LENGTH,
    TOLD,
    Reply,
    Settings,
    read_texts,
    receive_block,
    send_block,
    text_bytes,
)
from verifier.sandbox.results import REASONS, Result, agree, disagreement, read_result

any_text = st.text(st.characters(exclude_categories=()), max_size=60)
REPLY = Reply("ok", ["l", 1, "a"]).to_bytes()


def ended(data: bytes = b"", status: int = 0, *, killed: bool = False) -> Ended:
    return Ended(job=1, status=status, data=data, killed=killed, wall_s=0.1)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_reply_or_none(data: bytes) -> None:
    reply = Reply.from_bytes(data)
    assert reply is None or reply.status in TOLD


@given(st.integers(0, len(REPLY)), st.integers(0, len(REPLY)), st.binary(max_size=6))
def test_a_damaged_reply_is_a_reply_or_none(start: int, end: int, patch: bytes) -> None:
    reply = Reply.from_bytes(REPLY[:start] + patch + REPLY[end:])
    assert reply is None or reply.status in TOLD


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"{}",
        b"[]",
        b'["ok"]',
        b'["ok", 1, "", "", ""]',
        b'["fine", 1, "", ""]',
        b'["timeout", null, "", ""]',
        b'["nondeterministic", null, "", ""]',
        b'[["ok"], 1, "", ""]',
        b'["ok", 1, 2, ""]',
        b'["ok", 1, "", null]',
        b'["ok", 1, "", ""] ["ok", 1, "", ""]',
        b'["ok", 1, "", ""',
        b"[" * 60_000,
        b'["ok",' + b"[" * 30_000 + b"]" * 30_000 + b',"",""]',
        b'["ok", ' + b"9" * 5000 + b', "", ""]',
        b"\xff\xfe[\x00",
        b"\x00",
        b'\xef\xbb\xbf["ok", 1, "", ""]x',
    ],
    ids=lambda data: repr(data[:20]),
)
def test_what_is_not_exactly_one_reply_is_none(data: bytes) -> None:
    assert Reply.from_bytes(data) is None
    assert read_result(ended(data), 0.5) == Result("error", reason="no_result", detail="exit status 0", wall_s=0.5)


@given(st.sampled_from(TOLD), st.sampled_from(sorted(REASONS)), any_text)
def test_a_reply_says_the_same_on_the_other_side(status: str, reason: str, detail: str) -> None:
    reply = Reply.from_bytes(Reply(status, None, reason, detail).to_bytes())
    assert reply is not None
    assert (reply.status, reply.value, reply.reason) == (status, None, reason)
    assert "\ufffd" in detail or len(reply.detail) <= 200


@given(any_text, any_text)
def test_the_two_texts_arrive_as_they_were(program: str, arguments: str) -> None:
    assert read_texts(text_bytes(program, arguments)) == (program, arguments)


def test_settings_arrive_as_they_were() -> None:
    settings = Settings(
        modules=("math", "re"),
        filter_hex="00ff",
        clock_offset_s=1.5,
        scatter=False,
        timeout_s=0.25,
        memory_bytes=1 << 40,
        output_bytes=7,
    )
    assert Settings.from_bytes(settings.to_bytes()) == settings


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
def test_blocks_keep_their_bounds_in_a_stream(size: int) -> None:
    ours, theirs = socket.socketpair()
    blocks = [os.urandom(size), b"", b"x"]
    with ours, theirs:
        sender = threading.Thread(target=lambda: [send_block(ours, block) for block in blocks])
        sender.start()
        assert [receive_block(theirs) for _ in blocks] == blocks
        sender.join()


@pytest.mark.parametrize("sent", [b"", b"\x05", LENGTH.pack(5), LENGTH.pack(5) + b"1234"])
def test_an_end_in_the_middle_of_a_block_is_told(sent: bytes) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        with ours:
            ours.sendall(sent)
        with pytest.raises(EOFError):
            receive_block(theirs)


@pytest.mark.parametrize(
    ("status", "killed", "expected", "reason"),
    [
        (signal.SIGKILL, True, "timeout", "timeout"),
        (signal.SIGXCPU, True, "timeout", "timeout"),
        (signal.SIGXCPU, False, "timeout", "cpu_time"),
        (signal.SIGSYS, False, "forbidden", "system_call"),
        (signal.SIGKILL, False, "memory", "killed"),
        (signal.SIGSEGV, False, "error", "crash"),
        (signal.SIGSEGV | 0x80, False, "error", "crash"),  # with a core dump
        (signal.SIGABRT, False, "error", "crash"),
        (40, False, "error", "crash"),  # a real-time signal, which Python has no name for
        (97 << 8, False, "error", "no_result"),
        (0, False, "error", "no_result"),
    ],
)
def test_each_end_of_a_child_has_its_status(status: int, killed: bool, expected: str, reason: str) -> None:
    result = read_result(ended(status=int(status), killed=killed), 0.5)
    assert (result.status, result.reason, result.wall_s) == (expected, reason, 0.5)


def test_a_run_that_ended_well_before_it_could_be_killed_counts() -> None:
    assert read_result(ended(REPLY, killed=True), 0.5).output == "[1, 'a']"


def test_a_reply_of_a_run_that_was_killed_does_not_count() -> None:
    assert read_result(ended(REPLY, int(signal.SIGKILL), killed=True), 0.5).status == "timeout"


@pytest.mark.parametrize("status", [status for status in TOLD if status != "ok"])
def test_a_forged_reason_is_no_new_reason(status: str) -> None:
    data = json.dumps([status, None, "reason_of_my_own", "a\x1b[31m\u202e\ud800\n" + "x" * 999]).encode()
    result = read_result(ended(data), 0.1)
    assert (result.status, result.reason) == (status, "exception")
    assert result.detail.isascii()
    assert result.detail.isprintable()
    assert len(result.detail) < 1000


@pytest.mark.parametrize(
    ("encoded", "status", "reason"),
    [
        ('["x"]', "error", "no_result"),
        ("1.5", "error", "no_result"),
        ('["S",["l"]]', "error", "no_result"),
        ('["l",' * 65 + "1" + "]" * 65, "too_large_output", "depth"),
        ('["F",' * 33 + "1" + "]" * 33, "too_large_output", "depth"),  # each is two brackets in Python's notation
        ('["i","' + "f" * 400_000 + '"]', "too_large_output", "size"),
        ('"' + "\\u0001" * 90_000 + '"', "too_large_output", "size"),
    ],
    ids=lambda text: text[:12],
)
def test_a_forged_value_is_data_like_any_other(encoded: str, status: str, reason: str) -> None:
    result = read_result(ended(Reply.of_value(encoded)), 0.1)
    assert (result.status, result.reason) == (status, reason)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3) | st.sampled_from("ltSFdifcbs"),
        lambda inner: st.lists(inner, max_size=4) | st.tuples(st.sampled_from("ltSFdifcbs"), inner).map(list),
    )
)
def test_a_forged_document_never_raises(value: object) -> None:
    assert read_result(ended(Reply.of_value(json.dumps(value))), 0.1).status in ("ok", "error", "too_large_output")


def told(value: object) -> Result:
    return read_result(ended(Reply.of_value(Encoder(9999).encode(value))), 0.1)


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ({1: 2, 3: 4}, {3: 4, 1: 2}, True),
        pytest.param({"a", "b"}, {"b", "a"}, True, id="sets of text"),  # whose order is another one in each process
        ([float("nan")], [float("nan")], True),
        (1, True, False),
        (1, 1.0, False),
        (0.0, -0.0, False),
        ([1], (1,), False),
        ({1}, frozenset({1}), False),
        ([{1: 2}, 3], [{1: 2}, 4], False),
    ],
    ids=repr,
)
def test_worlds_agree_on_values_and_not_on_their_text(left: object, right: object, equal: bool) -> None:
    assert agree(told(left), told(right)) is equal


@pytest.mark.parametrize("status", ["error", "memory", "timeout", "forbidden", "too_large_output"])
def test_a_world_that_does_not_end_well_never_agrees(status: str) -> None:
    other = Result(status, reason="why", wall_s=0.3)
    assert not agree(told(1), other)
    expected = status if status in ("timeout", "memory") else "nondeterministic"
    assert disagreement(other).status == expected
    assert disagreement(other).wall_s == 0.3
