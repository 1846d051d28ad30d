import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest

from cluster import cli
from cluster import verify as verify_module

ECHO = "def f(*values): return values[0]"
CRUXEVAL = Path(__file__).resolve().parents[3] / "shared/data/cruxeval/cruxeval_first400.jsonl"
Lines = list[dict[str, object]]
Told = Callable[..., tuple[int, Lines, str]]


def case(name: object, text: str, program: str = ECHO, **fields: object) -> bytes:
    return json.dumps({"id": name, "program": program, "input": text, **fields}).encode()


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Told:
    """Exit code, lines of stdout and stderr for a file of these lines."""

    def tell(*lines: bytes, options: tuple[str, ...] = ()) -> tuple[int, Lines, str]:
        path = tmp_path / "cases.jsonl"
        path.write_bytes(b"\n".join(lines) + (b"\n" if lines else b""))
        code = cli.run(["verify", str(path), *options])
        captured = capsys.readouterr()
        return code, [json.loads(line) for line in captured.out.splitlines()], captured.err

    return tell


@pytest.fixture
def checked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    def tell(*lines: bytes) -> tuple[int, str, str]:
        path = tmp_path / "cases.jsonl"
        path.write_bytes(b"\n".join(lines))
        code = cli.run(["verify", str(path), "--check"])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return tell


def test_each_case_is_answered_in_order_with_the_fields_of_the_contract(told: Told) -> None:
    code, lines, err = told(
        case("a", "1", output="1"),
        case("b", "[1, 'x']", output="[1]"),
        case("c", "(1,)"),
        case("d", "", "def f(): raise KeyError(3)", output="1"),
        case("e", "", "def f():\n  while True: pass"),
        options=("--timeout-s", "0.5"),
    )
    assert (code, err) == (0, "")
    assert [list(line) for line in lines] == [["id", "status", "output", "matches", "reason", "wall_s"]] * 5
    assert [(line["id"], line["status"], line["output"], line["matches"], line["reason"]) for line in lines] == [
        ("a", "ok", "1", True, ""),
        ("b", "ok", "[1, 'x']", False, ""),
        ("c", "ok", "(1,)", None, ""),
        ("d", "error", None, False, "KeyError: KeyError: 3"),
        ("e", "timeout", None, None, "timeout"),
    ]
    assert all(isinstance(line["wall_s"], float) and 0 < line["wall_s"] < 5 for line in lines)


RECORDED = [
    ("1", "True", False),
    ("1", "1.0", False),
    ("0.0", "-0.0", False),
    ("float('nan')", "float('nan')", True),
    ("{1: 2, 3: 4}", "{3:4, 1:2}", True),
    ("'a'", '"a"', True),
    ("[1]", "(1,)", False),
    ("3", "1 + 2", False),
    ("3", "f(3)", False),
    ("3", "three", False),
    ("3", "", False),
    ("None", "", False),
    ("3", "3 ", True),
    ("'é'", "'\\xe9'", True),
    ("3", "(" * 5000 + "3" + ")" * 5000, False),
    ("3", "\x1b[31m\ud800\n", False),
]


def test_a_recorded_output_is_compared_as_a_value(told: Told) -> None:
    code, lines, _ = told(*(case(number, text, output=recorded) for number, (text, recorded, _) in enumerate(RECORDED)))
    assert (code, {line["status"] for line in lines}) == (0, {"ok"})
    assert [line["matches"] for line in lines] == [matches for _, _, matches in RECORDED]


BAD = [
    (b"{", " must be a JSON object"),
    (b"nothing", " must be a JSON object"),
    (b"[1]", " must be a JSON object, got list"),
    (b"null", " must be a JSON object, got NoneType"),
    (b'"\xff\xfe"', " must be a JSON object"),
    (b'{"id": 1, "program": "\xe9", "input": ""}', " must be a JSON object"),
    (b"[" * 50_000, " must be a JSON object"),
    (b'{"id": ' + b"9" * 5000 + b', "program": "", "input": ""}', " must be a JSON object"),
    (b'{"id": NaN, "program": "", "input": ""}', ": id must be a JSON value"),
    (b'{"id": 1e999, "program": "", "input": ""}', ": id must be a JSON value"),
    (b'{"id": 1, "input": ""}', ": program must be a text, got None"),
    (b'{"id": 1, "program": "def f(): pass"}', ": input must be a text, got None"),
    (b'{"id": 1, "program": 5, "input": ""}', ": program must be a text, got 5"),
    (b'{"id": 1, "program": "", "input": ["x\\ny"]}', ": input must be a text, got ['x\\ny']"),
    (b'{"id": 1, "program": "", "input": "", "output": 3}', ": output must be a text, got 3"),
    (b'{"id": 1, "program": "", "input": "", "output": ["' + b"x" * 9999 + b'"]}', ": output must be a text, got ['xxx"),
]


def test_a_bad_line_is_told_with_its_number_and_the_others_run(told: Told) -> None:
    good = [case(number, str(number)) for number in range(len(BAD))]
    code, lines, err = told(*(line for number, (bad, _) in enumerate(BAD) for line in (good[number], bad)))
    assert code == 1
    assert [line["output"] for line in lines[::2]] == [str(number) for number in range(len(BAD))]
    assert {(line["status"], line["output"], line["matches"]) for line in lines[1::2]} == {("error", None, None)}
    for number, (complaint, line, (_, problem)) in enumerate(zip(err.splitlines(), lines[1::2], BAD, strict=True)):
        assert f"line {2 * number + 2}{problem}" in complaint
        assert f"line {2 * number + 2}{problem}" in str(line["reason"])
        assert len(complaint) < 400


def test_numbers_of_lines_count_blank_ones(told: Told) -> None:
    code, lines, err = told(b"", case(1, "1"), b"  \t", b"x", b"\r", case(2, "2"))
    assert (code, [line["id"] for line in lines]) == (1, [1, None, 2])
    assert "line 4 must" in err


def test_an_id_of_any_kind_comes_back_as_it_was(told: Told) -> None:
    names = [None, True, 0, -1.5, "", "é\ud800\n\x1b", [1, {"a": None}], {"a": []}, 10**4000, "x" * 5000]
    code, lines, err = told(*(case(name, "1") for name in names))
    assert (code, err) == (0, "")
    assert [line["id"] for line in lines] == names
    assert [type(line["id"]) for line in lines] == [type(name) for name in names]


def test_a_deep_id_is_answered_or_told_at_every_depth(told: Told) -> None:
    """Reading and writing JSON end at different depths."""
    deep = [
        b'{"id": ' + b"[" * depth + b"]" * depth + b', "program": "def f(): return 1", "input": ""}'
        for depth in range(880, 1000)
    ]
    code, lines, err = told(*deep)
    assert len(lines) == len(deep)
    assert code == int(bool(err))
    assert {line["status"] for line in lines} <= {"ok", "error"}


def test_an_id_may_be_missing_or_come_twice_and_code_is_another_name_of_program(told: Told) -> None:
    code, lines, _ = told(
        b'{"code": "def f(): return 1", "input": ""}',
        b'{"id": 7, "code": "def f(): return 2", "program": "def f(): return 3", "input": "", "output": null, "more": 1}',
        case(7, "4"),
    )
    assert code == 0
    assert [(line["id"], line["output"], line["matches"]) for line in lines] == [
        (None, "1", None),
        (7, "3", None),
        (7, "4", None),
    ]


def test_long_lines_cost_themselves_only(told: Told) -> None:
    started = monotonic()
    code, lines, err = told(
        case(1, "1"),
        case(2, "'" + "x" * 3_000_000 + "'"),
        case(3, "1", ECHO + "\n#" + "x" * 3_000_000),
        case(4, "1", ECHO, more="x" * 3_000_000),
        case(5, "1", ECHO, output="1" * 3_000_000),
    )
    assert (code, err) == (0, "")
    assert [line["status"] for line in lines] == ["ok", "error", "error", "ok", "ok"]
    assert [line["matches"] for line in lines] == [None, None, None, None, False]
    assert all("too_long" in str(line["reason"]) for line in lines[1:3])
    assert monotonic() - started < 10


def test_more_lines_than_a_block_are_answered_in_order(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_module, "BLOCK", 7)
    code, lines, err = told(*(b"?" if number % 10 == 3 else case(number, str(number)) for number in range(60)))
    assert code == 1
    assert [line["output"] for line in lines] == [None if number % 10 == 3 else str(number) for number in range(60)]
    assert [int(line.split(" line ")[1].split()[0]) for line in err.splitlines()] == [number + 1 for number in range(3, 60, 10)]


@pytest.mark.slow
def test_what_programs_print_is_not_among_the_answers(told: Told) -> None:
    code, lines, err = told(
        case(1, "1", "import sys\nprint('{}')\ndef f(x):\n  print('x'); sys.stderr.write('y'); sys.stdout.flush()\n  return x"),
        case(2, "print('z')"),
    )
    assert (code, [line["output"] for line in lines], err) == (0, ["1", "None"], "")


def test_an_empty_file_is_no_case(told: Told, checked: Callable[..., tuple[int, str, str]]) -> None:
    assert told() == (0, [], "")
    assert checked() == (0, "0 cases\n", "")


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_a_file_that_cannot_be_read_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str) -> None:
    code = cli.run(["verify", str(tmp_path / name)])
    captured = capsys.readouterr()
    assert (code, captured.out) == (1, "")
    assert captured.err.startswith("error: ")
    assert "cannot be read" in captured.err
    assert len(captured.err.splitlines()) == 1


def test_check_says_one_line_and_is_content_when_all_match(checked: Callable[..., tuple[int, str, str]]) -> None:
    lines = [case(1, "1", output="1"), case(2, "2"), case(3, "", "def f(): 1 / 0")]
    assert checked(*lines) == (0, "3 cases: 2 ok, 1 error\n", "")


def test_check_counts_by_status_and_names_each_mismatch(checked: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = checked(
        case("right", "1", output="1"),
        case("wrong", "'a\\x1b'", output="True\n\x1b[31m"),
        case("failed", "", "def f(): 1 / 0", output="1"),
        case("forbidden", "", "import os"),
        case("large", "", "def f(): return 'x' * 10 ** 6"),
        case("chance", "", "def f(): return id(object())"),
        case("long", "'" + "x" * 5000 + "'", output="1" * 5000),
        b"{",
    )
    assert code == 1
    assert out == "8 cases: 1 ok, 2 mismatched, 1 error, 1 nondeterministic, 1 forbidden, 1 too_large_output, 1 unreadable\n"
    complaints = err.splitlines()
    assert [line.split(":")[0] for line in complaints[1:3]] == ["failed", "long"]
    assert "wrong: 'a\\" in complaints[0]
    assert "line 8 must be a JSON object" in complaints[3]
    assert all(line.isprintable() and len(line) < 450 for line in complaints)


@pytest.mark.parametrize("bad", [("--workers", "0"), ("--timeout-s", "0"), ("--memory-mb", "1"), ("--timeout-s", "x")])
def test_limits_out_of_bounds_are_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, bad: tuple[str, str]
) -> None:
    (tmp_path / "cases.jsonl").write_text("")
    assert cli.run(["verify", str(tmp_path / "cases.jsonl"), *bad]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_reader_that_goes_away_ends_it_without_a_stack_trace(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_bytes(b"\n".join(case(number, "'" + "x" * 500 + "'") for number in range(1500)))
    command = f"{sys.executable} -m cluster.cli verify {path} | head -c 10"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60, cwd=Path(cli.__file__).parents[1]
    )
    assert len(done.stdout) == 10
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_recorded_outputs_of_cruxeval_are_met(capsys: pytest.CaptureFixture[str]) -> None:
    if not CRUXEVAL.is_file():
        pytest.skip(f"the CRUXEval rows are not at {CRUXEVAL}")
    assert cli.run(["verify", str(CRUXEVAL), "--check"]) == 0
    assert capsys.readouterr().out == "400 cases: 400 ok\n"
