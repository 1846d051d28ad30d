"""Programs with tests: the code is found in the completion, run in the sandbox, and cannot plainly cheat its tests."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.system_sections import VerifiersSection
from selfplay.evaluate import judge_suite
from selfplay.items import Completion, Item
from selfplay.programs import ProgramTest, fence, find_sources, make_program
from tasks.records import Kind
from verifier.python import PythonExecutor

STUB = 'def double(n: int) -> int:\n    """Twice n."""\n'
STUBBED = ProgramTest(
    entry_point="double",
    stub=STUB,
    preamble="from typing import List\n\n",
    tests="def check(candidate):\n    assert candidate(2) == 4\n    assert abs(candidate(5) - 10) < 1e-9\n\ncheck(double)\n",
)
WHOLE = ProgramTest(entry_point="double", tests="assert double(2) == 4\nassert double(0.5) == 1.0\n")
GOOD = "def double(n):\n    return 2 * n\n"


@pytest.fixture(scope="module")
def executor() -> Iterator[PythonExecutor]:
    executor = PythonExecutor(VerifiersSection(timeout_s=2.0))
    yield executor
    executor.close()


def reason(executor: PythonExecutor, completion: str, test: ProgramTest = WHOLE) -> str:
    item = Item(id="0", prompt="", expected="", judged_by=test, kind=Kind.INDUCTION)
    [result] = judge_suite("programs", [item], [Completion(text=completion)], None, executor).results
    assert result.right == (result.reason == "ok")
    return result.reason


@pytest.mark.parametrize(
    ("completion", "code"),
    [
        ("Sure.\n```python\na = 1\n```\nOr:\n```python\nb = 2\n```\nBye.", "b = 2\n"),
        ("```python\na = 1\n```\n```\n4\n```", "a = 1\n"),
        ("```\na = 1\n```", "a = 1\n"),
        ("```py\na = 1", "a = 1\n"),
        ("1. So:\n   ```python\n   if a:\n       b\n   ```\n", "if a:\n    b\n"),
        ("a = 1\nprint(a)\n", "a = 1"),
        ("def double(n):\n    pass\n\n\nassert double", "def double(n):\n    pass\n\n"),
        ("a = 1\n```\nThat is all.", "a = 1"),
        ("", ""),
    ],
)
def test_the_code_is_the_last_python_block_or_else_the_text_up_to_a_stop_line(completion: str, code: str) -> None:
    assert find_sources(completion, WHOLE)[-1].rstrip("\n") == code.rstrip("\n")


@pytest.mark.parametrize(
    ("completion", "sources"),
    [
        ("    return 2 * n\n\n\ndef other():\n    pass", (STUBBED.preamble + STUB + "    return 2 * n\n\n",)),
        ("    return 2 * n\n\ndef double(n):\n    pass", (STUBBED.preamble + STUB + "    return 2 * n\n",)),
        (fence("    return 2 * n"), (STUBBED.preamble + STUB + "    return 2 * n\n",)),
        (fence(GOOD), (STUBBED.preamble, GOOD + "\n")),
        (GOOD, (STUBBED.preamble, GOOD)),
        (fence("double = lambda n: 2 * n"), (STUBBED.preamble, "double = lambda n: 2 * n\n")),
    ],
)
def test_the_stub_is_prepended_exactly_where_the_completion_does_not_define_the_function(
    completion: str, sources: tuple[str, ...]
) -> None:
    assert find_sources(completion, STUBBED) == sources


@given(st.text(alphabet="` \npythondef:=()\r\x0c\u2028\ud800", max_size=200))
def test_any_completion_becomes_one_program_that_reads_as_python(text: str) -> None:
    for test in (WHOLE, STUBBED):
        program = make_program(text, test, "nonce")
        assert program.isascii()
        space: dict[str, object] = {}
        exec(compile(program, "harness", "exec"), space)
        assert space["SOURCES"] == find_sources(text, test)


@pytest.mark.parametrize("test", [WHOLE, STUBBED])
def test_a_right_program_passes_and_a_wrong_one_fails(executor: PythonExecutor, test: ProgramTest) -> None:
    assert reason(executor, fence(GOOD), test) == "ok"
    assert reason(executor, GOOD, test) == "ok"
    assert reason(executor, fence(GOOD.replace("2 *", "3 *")), test) == "AssertionError"
    assert reason(executor, fence("def treble(n):\n    return 2 * n"), test) != "ok"
    assert reason(executor, "I cannot do that.", test) != "ok"


def test_what_programs_usually_do_is_allowed(executor: PythonExecutor) -> None:
    program = (
        "from __future__ import annotations\nimport sys\nfrom dataclasses import dataclass\nfrom collections import Counter\n"
        "sys.setrecursionlimit(10**4)\n@dataclass\nclass Box:\n    n: int\n"
        "def inner(n):\n    return Box(n)\ndef double(n):\n    return inner(n).n + Counter([n])[n] * n\n"
        "if __name__ == '__main__':\n    print(double(input()))\n"
    )
    assert reason(executor, fence(program), STUBBED) == "ok"
    counts = ProgramTest(entry_point="count", tests="assert count('aab') == {'a': 2, 'b': 1}")
    for made in ("Counter(text)", "OrderedDict(Counter(text))", "defaultdict(int, Counter(text))"):
        assert reason(executor, fence(f"from collections import *\ndef count(text):\n    return {made}\n"), counts) == "ok"


ZERO = "\ndef double(n):\n    return 0\n"
LIES = ":\n    __eq__ = lambda s, o: True\n    __sub__ = lambda s, o: 0\n    __hash__ = None\n"
YES = "\ndef double(n):\n    return Yes()\n"
CHEATS = {
    "sys_exit": "import sys\nsys.exit(0)",
    "os_exit": "import os\nos._exit(0)",
    "exit_by_the_kernel": "import posix\nposix._exit(0)",
    "exit_in_the_function": "def double(n):\n    raise SystemExit(0)",
    "endless": "while True: pass",
    "module_level_return": f"{ZERO}return True",
    "assertion_error_replaced": f"import builtins\nbuiltins.AssertionError = AssertionError = None{ZERO}",
    "check_defined": f"def check(candidate):\n    return True{ZERO}",
    "f_defined": f"def f(*args):\n    return True{ZERO}",
    "f_of_all_modules": f"import sys\nfor m in list(sys.modules.values()):\n    setattr(m, 'f', lambda *a: True){ZERO}",
    "tests_of_the_caller": f"import sys\nsys._getframe(1).f_globals.update(TESTS='', ENTRY_POINT='abs'){ZERO}",
    "exec_replaced": f"import builtins\nbuiltins.exec = lambda *a: None{ZERO}",
    "abs_replaced": f"import builtins\nbuiltins.abs = abs = lambda n: 0{ZERO.replace('0', '4')}",
    "type_replaced": f"import builtins\nbuiltins.type = lambda v: int\nbuiltins.any = lambda v: True\nclass Yes{LIES}{YES}",
    "equal_to_all": f"class Yes{LIES}{YES}",
    "int_equal_to_all": f"class Yes(int){LIES}{YES}",
    "lying_class": f"class Yes{LIES}    __class__ = int{YES}",
    "lying_metaclass": "class Meta(type):\n    __eq__ = lambda s, o: True\n    __hash__ = lambda s: hash(int)\n"
    f"class Yes(metaclass=Meta){LIES}{YES}",
    "callable_object": f"class Yes{LIES}class Call:\n    __call__ = lambda s, n: Yes()\ndouble = Call()\n",
    "class_as_function": f"class Yes{LIES}    __init__ = lambda s, n: None\ndouble = Yes\n",
    "counter_equal_to_all": "import collections\nYes = collections.Counter\nYes.__eq__ = lambda s, o: True\n"
    f"Yes.__sub__ = lambda s, o: 0{YES}",
    "text_around_it": f'{ZERO}"""\nx = """',
    "quotes_around_it": f"{ZERO}\"\"\"\n'''\n)\nNONCE = 1\ndef f(): return 1\n#",
    "true": "def double(n):\n    return True",
}


@pytest.mark.slow
@pytest.mark.parametrize("test", [WHOLE, STUBBED], ids=["asserts", "check"])
@pytest.mark.parametrize("name", CHEATS)
def test_a_plain_cheat_fails_its_tests(executor: PythonExecutor, name: str, test: ProgramTest) -> None:
    assert reason(executor, fence(CHEATS[name]), test) != "ok"
    assert reason(executor, fence(GOOD), test) == "ok"


def test_the_nonce_is_new_for_each_item_and_stands_behind_the_completion(executor: PythonExecutor) -> None:
    first, second = (make_program(fence(GOOD), WHOLE, nonce) for nonce in ("one", "two"))
    assert first != second
    assert first.index("SOURCES =") < first.index("'one'")
    assert "'one'" not in repr(find_sources(fence(GOOD), WHOLE))


def test_programs_of_a_batch_do_not_touch_each_other(executor: PythonExecutor) -> None:
    texts = [fence(GOOD), fence(CHEATS["os_exit"]), fence(CHEATS["abs_replaced"]), GOOD]
    items = [Item(id=str(number), prompt="", expected="", judged_by=WHOLE) for number in range(len(texts))]
    result = judge_suite("programs", items, [Completion(text=text) for text in texts], None, executor)
    assert [one.right for one in result.results] == [True, False, False, True]
