import random
import string
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.system_sections import VerifiersSection
from verifier.execution import Call, Outcome, load_executor
from verifier.python import MANY_WORLDS, PythonExecutor
from verifier.sandbox.pool import Job, Pool
from verifier.sandbox.results import Result


@pytest.fixture(scope="module")
def executor() -> Iterator[PythonExecutor]:
    executor = load_executor("python", VerifiersSection(timeout_s=10))
    assert isinstance(executor, PythonExecutor)
    yield executor
    executor.close()


@pytest.fixture
def jobs(executor: PythonExecutor, monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """What reaches the pool."""
    seen: list[Job] = []
    run = Pool.run

    def recorded(pool: Pool, jobs: Sequence[Job]) -> list[Result]:
        seen.extend(jobs)
        return run(pool, jobs)

    monkeypatch.setattr(Pool, "run", recorded)
    return seen


def outcome(executor: PythonExecutor, program: str, text: str = "", *, deterministic: bool = True) -> Outcome:
    [found] = executor.run([Call(program=program, input=text, deterministic=deterministic)])
    return found


def returning(expression: str) -> str:
    return f"def f(x=None):\n    return {expression}"


@pytest.mark.parametrize(
    ("expression", "output"),
    [
        ("{'b': 1, 'a': {2, 1}}", "{'b': 1, 'a': {1, 2}}"),
        ("float('nan'), -0.0, 1e308 * 10", "(float('nan'), -0.0, float('inf'))"),
        ("True, 1, 1.0, 1j, None", "(True, 1, 1.0, 1j, None)"),
        ("frozenset({frozenset(), frozenset({1})})", "frozenset({frozenset(), frozenset({1})})"),
        ("{float('nan'), float('nan')}", "{float('nan'), float('nan')}"),
        ("'\\ud83d\\ude00', '\\U0001f600', 'é'", "('\\ud83d\\ude00', '😀', 'é')"),
        ("len(str(10 ** 4000)), 10 ** 4300", f"(4001, 1{'0' * 4300})"),
        ("b'\\x00' * 3, (), [], {}, set()", "(b'\\x00\\x00\\x00', (), [], {}, set())"),
    ],
)
def test_the_output_is_the_canonical_text_of_the_value(executor: PythonExecutor, expression: str, output: str) -> None:
    assert outcome(executor, returning(expression)).output == output


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("1", "1", True),
        ("1", "True", False),
        ("1", "1.0", False),
        ("0", "False", False),
        ("0.0", "-0.0", False),
        ("(1,)", "[1]", False),
        ("{1, 2}", "{2, 1}", True),
        ("{1: 2, 3: 4}", "{3: 4, 1: 2}", True),
        ("{1}", "frozenset({1})", False),
        ("float('nan')", "float('nan')", True),
        ("[1,2]", "[1, 2]", True),
        ("'a' 'b'", '"ab"', True),
        ("b'a'", "'a'", False),
        ("0x10", "16", True),
        ("1 + 1", "2", False),
        ("f(1)", "f(1)", False),
        ("", "", False),
        ("__import__('os')", "__import__('os')", False),
        ("'é'", "'e\u0301'", False),
    ],
)
def test_outputs_are_compared_as_values_with_their_types(executor: PythonExecutor, left: str, right: str, equal: bool) -> None:
    assert executor.same(left, right) is equal
    assert executor.same(right, left) is equal


@given(st.text(max_size=60), st.text(max_size=60))
def test_comparing_arbitrary_texts_never_raises(left: str, right: str) -> None:
    assert PythonExecutor.same(None, left, right) in (True, False)


@pytest.mark.parametrize(
    ("program", "text", "status", "reason"),
    [
        ("def f(x): return x", "1, 2", "error", "TypeError"),
        ("def f(x): return x", "1)", "error", "input_syntax"),
        ("def f(x): return x", "1) or f(2", "error", "input_syntax"),
        ("def f(x): return x", "1 if", "error", "input_syntax"),
        ("def f(x: return x", "1", "error", "syntax"),
        ("def g(x): return x", "1", "error", "no_function"),
        ("f = 3", "1", "error", "no_function"),
        ("", "", "error", "no_function"),
        ("def f(): return f", "", "error", "output_type"),
        ("def f(): yield 1", "", "error", "output_type"),
        ("from collections import Counter\ndef f(): return Counter('a')", "", "error", "output_type"),
        ("def f(): return 1 / 0", "", "error", "ZeroDivisionError"),
        ("class Mine(Exception): pass\ndef f(): raise Mine", "", "error", "exception"),
        ("def f(): raise SystemExit(0)", "", "error", "SystemExit"),
        ("def f(): exit()", "", "error", "NameError"),
        ("import os\ndef f(): return 1", "", "forbidden", "import"),
        ("def f(): open('/etc/passwd')", "", "forbidden", "file"),
        ("def f(): raise PermissionError('not yours')", "", "error", "PermissionError"),
        ("def f(): return 'x' * 10 ** 6", "", "too_large_output", "size"),
        ("def f(): return 1 << 10 ** 6", "", "too_large_output", "size"),
        ("def f():\n  x = []\n  x.append(x)\n  return x", "", "too_large_output", "depth"),
        ("def f(): return 'x' * 10 ** 10", "", "memory", "memory"),
        ("def f(): return f()", "", "error", "RecursionError"),
    ],
)
def test_what_goes_wrong_is_an_outcome_with_a_reason(
    executor: PythonExecutor, program: str, text: str, status: str, reason: str
) -> None:
    found = outcome(executor, program, text)
    assert (found.status, found.reason, found.output) == (status, reason, "")


def test_equal_calls_of_a_batch_are_run_once(executor: PythonExecutor, jobs: list[Job]) -> None:
    one, two = (Call(program="def f(x): return x", input=text, deterministic=True) for text in "12")
    once = Call(program="def f(x): return x", input="1")
    found = executor.run([one, two, one, once, two, one])
    assert [each.output for each in found] == ["1", "2", "1", "1", "2", "1"]
    assert len(jobs) == 3


def test_what_need_not_be_deterministic_is_run_once(executor: PythonExecutor, jobs: list[Job]) -> None:
    for program in ("import random\ndef f(): return random.random() < 2", "def f(): return list({'a', 'b'}) != 3"):
        call = Call(program=program, input="")
        assert executor.run([call])[0].output == "True"
        assert executor.num_runs(call) == 1
    assert [job.hash_seeds for job in jobs] == [(1,), (1,)]


@pytest.mark.parametrize(
    ("program", "text", "num_worlds"),
    [
        ("def f(x): return sorted(x)", "[3, 1]", 2),
        ("def f(x): return {k: v for k, v in x.items()}", "{1: 2}", 2),
        ("import random\ndef f(x): return random.Random(1).random()", "1", MANY_WORLDS),
        ("import time\ndef f(x): return 1", "1", MANY_WORLDS),
        ("def f(x): return id(x) > 0", "1", MANY_WORLDS),
        ("def f(x): return hash('a') != 0", "1", MANY_WORLDS),
        ("def f(x): return len(set(x))", "'ab'", MANY_WORLDS),
        ("def f(x): return len(x)", "{'a', 'b'}", MANY_WORLDS),
        ("def f(x): return len(x)", "frozenset('ab')", MANY_WORLDS),
        ("def f(x): return len({c for c in x})", "'ab'", MANY_WORLDS),
    ],
)
def test_what_chance_may_hide_is_run_in_many_worlds(
    executor: PythonExecutor, jobs: list[Job], program: str, text: str, num_worlds: int
) -> None:
    assert outcome(executor, program, text).status == "ok"
    [job] = jobs
    assert len(set(job.hash_seeds)) == len(job.hash_seeds) == num_worlds
    assert executor.num_runs(Call(program=program, input=text, deterministic=True)) == num_worlds


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('random').random()",
        "__import__('random').randint(0, 10 ** 9)",
        "__import__('time').time()",
        "__import__('datetime').datetime.now().year",
        "__import__('datetime').date.today().day",
        "id(object())",
        "hash('a')",
        "hash(frozenset('ab'))",
        "list({'a', 'b', 'c', 'd'})",
        "str({'a', 'b', 'c', 'd'})",
        "set('abcdef').pop()",
        "repr(object())",
        "str(f)",
        "next(iter(frozenset('abcdef')))",
        "[*dict.fromkeys({'a', 'b', 'c', 'd'})]",
        "max({'a': 1, 'b': 1}.keys() | {'c', 'd'}, key=lambda key: 0)",
        "''.join({'ab': 1, 'cd': 2, 'ef': 3}.keys() & {'ab', 'cd', 'ef'})",
        "hash(b'a') % 97",
    ],
)
def test_what_differs_between_worlds_is_not_deterministic(executor: PythonExecutor, expression: str) -> None:
    found = outcome(executor, returning(expression))
    assert (found.status, found.reason, found.output) == ("nondeterministic", "nondeterministic", "")


@pytest.mark.parametrize(
    "expression",
    [
        "{'a', 'b', 'c'}",
        "{'a': {'b', 'c'}}",
        "sorted({'a', 'b', 'c'})",
        "len({'a', 'b'})",
        "hash(1)",
        "dict.fromkeys('abc')",
        "__import__('random').Random(5).random()",
        "sum({1.5, 2.5})",
        "[*{3, 1, 2}]",
        "(lambda random: (random.seed(3), random.random())[1])(__import__('random'))",
        "id(x) == id(x)",
        "__import__('time').time() > 1e9",
    ],
)
def test_what_is_the_same_in_all_worlds_is_admitted(executor: PythonExecutor, expression: str) -> None:
    assert outcome(executor, returning(expression)).status == "ok"


def test_a_dict_in_another_order_is_the_same_value(executor: PythonExecutor) -> None:
    found = outcome(executor, returning("{key: 1 for key in {'a', 'b', 'c', 'd'}}"))
    assert found.status == "ok"
    assert executor.same(found.output, "{'d': 1, 'c': 1, 'b': 1, 'a': 1}")


def test_the_order_of_a_set_of_two_is_found_out_as_a_rule(executor: PythonExecutor) -> None:
    """Two worlds would miss it every second time; MANY_WORLDS miss it in 1 of 128."""
    rng = random.Random(7)
    words = ["".join(rng.choices(string.ascii_lowercase, k=6)) for _ in range(200)]
    calls = [
        Call(program=f"def f():\n    return list({{{first!r}, {second!r}}})", input="", deterministic=True)
        for first, second in zip(words[::2], words[1::2], strict=True)
    ]
    statuses = [found.status for found in executor.run(calls)]
    assert set(statuses) <= {"ok", "nondeterministic"}
    assert statuses.count("ok") <= 5


def test_a_run_that_fails_in_a_further_world_only_is_not_deterministic(executor: PythonExecutor) -> None:
    program = "def f():\n    if hash('a') != {first}: raise ValueError\n    return 1"
    first = outcome(executor, returning("hash('a')"), deterministic=False).output
    assert outcome(executor, program.format(first=first)).status == "nondeterministic"
    assert outcome(executor, program.format(first=first), deterministic=False).status == "ok"


def test_a_batch_of_all_sorts_keeps_its_order(executor: PythonExecutor) -> None:
    rng = random.Random(2)
    sorts = {
        "ok": "def f(n): return n",
        "error": "def f(n): raise KeyError",
        "nondeterministic": "import random\ndef f(n): return random.random()",
        "forbidden": "import socket\ndef f(n): return n",
        "too_large_output": "def f(n): return [n] * 10 ** 6",
        "memory": "def f(n): return [n] * 10 ** 11",
    }
    wanted = [rng.choice(list(sorts)) for _ in range(120)]
    calls = [Call(program=sorts[status], input=str(number), deterministic=True) for number, status in enumerate(wanted)]
    found = executor.run(calls)
    assert [each.status for each in found] == wanted
    assert [each.output for each in found if each.status == "ok"] == [
        str(n) for n, status in enumerate(wanted) if status == "ok"
    ]


def test_no_call_is_no_outcome(executor: PythonExecutor) -> None:
    assert executor.run([]) == []


def test_an_executor_that_was_closed_runs_again() -> None:
    executor = PythonExecutor(VerifiersSection())
    for _ in range(2):
        assert outcome(executor, "def f(): return 1").output == "1"
        executor.close()
        executor.close()
