"""Attacks on the truth: values that lie about what they are, and values that are easily told wrong."""

from tests.verifier.attacks.case import Attack, answers, attacks

LIES = [
    *attacks(
        "lie",
        "error",
        {
            "equal to everything": """
                class Lie:
                    def __eq__(self, other): return True
                    __hash__ = None
                def f(): return Lie()
                """,
            "equal and hashed like 1": """
                class Lie:
                    def __eq__(self, other): return True
                    def __hash__(self): return 1
                def f(): return Lie()
                """,
            "text like a value": """
                class Lie:
                    def __repr__(self): return '42'
                    __str__ = __format__ = __repr__
                def f(): return Lie()
                """,
            "class like int": """
                class Lie:
                    __class__ = int
                    def __index__(self): return 42
                    __int__ = __index__
                def f(): return Lie()
                """,
            "class by a property": """
                class Lie:
                    @property
                    def __class__(self): return list
                    def __iter__(self): return iter([1])
                def f(): return Lie()
                """,
            "instance of everything": """
                class Meta(type):
                    def __instancecheck__(cls, other): return True
                class Lie(metaclass=Meta): pass
                def f(): return Lie()
                """,
            "type that equals every type": """
                class Meta(type):
                    def __eq__(cls, other): return True
                    def __hash__(cls): return hash(int)
                class Lie(metaclass=Meta): pass
                def f(): return Lie()
                """,
            "type that is hashed like list": """
                class Meta(type):
                    def __eq__(cls, other): return other is list
                    def __hash__(cls): return hash(list)
                class Lie(metaclass=Meta):
                    def __len__(self): return 1
                    def __iter__(self): return iter([1])
                def f(): return Lie()
                """,
            "type with the name int": "f = lambda: type('int', (), {'__repr__': lambda self: '42'})()",
            "type whose name is a property": """
                class Meta(type):
                    __name__ = property(lambda cls: 1 / 0)
                class Lie(metaclass=Meta): pass
                def f(): return Lie()
                """,
            "reduced to a call": """
                class Lie:
                    def __reduce__(self): return (eval, ('42',))
                    __reduce_ex__ = __getstate__ = __copy__ = lambda self, *_: (eval, ('42',))
                def f(): return Lie()
                """,
            "int of one's own": "class Mine(int): pass\ndef f(): return Mine(1)",
            "bool within an int of one's own": """
                class Mine(int):
                    def __repr__(self): return 'True'
                def f(): return Mine(1)
                """,
            "str of one's own": """
                class Mine(str):
                    def __str__(self): return 'b'
                    __repr__ = __str__
                def f(): return Mine('a')
                """,
            "float of one's own": "class Mine(float):\n    def hex(self): return '0x1p+1'\ndef f(): return Mine(1)",
            "complex of one's own": "class Mine(complex): pass\ndef f(): return Mine(1)",
            "bytes of one's own": "class Mine(bytes): pass\ndef f(): return Mine(b'a')",
            "list of one's own": "class Mine(list):\n    def __iter__(self): return iter([9])\ndef f(): return Mine([1])",
            "tuple of one's own": "class Mine(tuple):\n    def __len__(self): return 0\ndef f(): return Mine([1])",
            "dict of one's own": "class Mine(dict):\n    def items(self): return [(9, 9)]\ndef f(): return Mine({1: 1})",
            "set of one's own": "class Mine(set):\n    def __contains__(self, item): return True\ndef f(): return Mine({1})",
            "frozenset of one's own": "class Mine(frozenset): pass\ndef f(): return Mine({1})",
            "int of one's own, in a list": "class Mine(int): pass\ndef f(): return [1, [2, Mine(3)]]",
            "str of one's own, as a key": "class Mine(str): pass\ndef f(): return {Mine('a'): 1}",
            "liar in a set": """
                class Lie:
                    def __eq__(self, other): return True
                    def __hash__(self): return 1
                def f(): return {Lie(), 1, 2}
                """,
            "Counter": "from collections import Counter\ndef f(): return Counter('aab')",
            "OrderedDict": "from collections import OrderedDict\ndef f(): return OrderedDict(a=1)",
            "defaultdict": "from collections import defaultdict\ndef f(): return defaultdict(list)",
            "namedtuple": "from collections import namedtuple\ndef f(): return namedtuple('P', 'x y')(1, 2)",
            "deque": "from collections import deque\ndef f(): return deque([1])",
            "ChainMap": "from collections import ChainMap\ndef f(): return ChainMap({1: 2})",
            "UserList": "from collections import UserList\ndef f(): return UserList([1])",
            "generator": "def f(): yield 1",
            "coroutine": "async def f(): return 1",
            "iterator": "def f(): return iter([1])",
            "map": "def f(): return map(str, [1])",
            "zip": "def f(): return zip([1])",
            "range": "def f(): return range(3)",
            "slice": "def f(): return slice(1)",
            "keys of a dict": "def f(): return {1: 2}.keys()",
            "view of memory": "def f(): return memoryview(b'a')",
            "bytearray": "def f(): return bytearray(b'a')",
            "function": "def f(): return f",
            "builtin function": "def f(): return len",
            "method": "def f(): return [].append",
            "class": "def f(): return int",
            "module": "import math\ndef f(): return math",
            "Ellipsis": "def f(): return ...",
            "NotImplemented": "def f(): return NotImplemented",
            "exception": "def f(): return ValueError('x')",
            "code": "def f(): return f.__code__",
            "frame": "import sys\ndef f(): return sys._getframe()",
            "proxy of a class": "def f(): return int.__dict__",
            "Decimal": "from decimal import Decimal\ndef f(): return Decimal(1)",
            "Fraction": "from fractions import Fraction\ndef f(): return Fraction(1, 2)",
            "date": "from datetime import date\ndef f(): return date(2020, 1, 1)",
            "enumeration": "from enum import Enum\nclass E(Enum):\n    A = 1\ndef f(): return E.A",
            "enumeration of integers": "from enum import IntEnum\nclass E(IntEnum):\n    A = 1\ndef f(): return E.A",
            "data class": "from dataclasses import dataclass\n@dataclass\nclass D:\n    a: int\ndef f(): return D(1)",
            "array": "from array import array\ndef f(): return array('i', [1])",
            "match": "import re\ndef f(): return re.match('a', 'a')",
            "partial function": "from functools import partial\ndef f(): return partial(len)",
        },
        reason="output_type",
    ),
    *attacks("lie", "error", {"loads of os": "def f(x=Nothing): return x"}, reason="NameError"),
]

TRUTHS = answers(
    "truth",
    {
        "nan": ("def f(): return float('nan')", "", "float('nan')"),
        "nan with a sign": ("def f(): return -float('nan')", "", "float('nan')"),
        "zero with a sign": ("def f(): return [0.0, -0.0, 0]", "", "[0.0, -0.0, 0]"),
        "infinities": ("def f(): return float('inf'), -float('inf')", "", "(float('inf'), float('-inf'))"),
        "True is not 1": ("def f(): return [True, 1, 1.0, 1 + 0j]", "", "[True, 1, 1.0, complex(1.0, 0.0)]"),
        "False is not 0": ("def f(): return 0 == False, 0, False", "", "(True, 0, False)"),
        "None": ("def f(): pass", "", "None"),
        "tuple is no list": ("def f(): return (1,), [1], ()", "", "((1,), [1], ())"),
        "nested containers of every type": (
            "def f(): return {1: {2}, (3,): frozenset([4]), 'a': [b'b', None, 5.5]}",
            "",
            "{1: {2}, (3,): frozenset({4}), 'a': [b'b', None, 5.5]}",
        ),
        "empty containers": (
            "def f(): return [[], (), {}, set(), frozenset(), '', b'']",
            "",
            "[[], (), {}, set(), frozenset(), '', b'']",
        ),
        "keys that are equal": ("def f(): return {1: 'a', True: 'b', 1.0: 'c'}", "", "{1: 'c'}"),
        "members that are equal": ("def f(): return {True, 1, 1.0}", "", "{True}"),
        "order of a dict": ("def f(): return {2: 1, 1: 2}", "", "{2: 1, 1: 2}"),
        "integer of 5000 digits": ("def f(): return 10**5000 % (10**5000 - 1), len([10**5000])", "", "(1, 1)"),
        "integer above the digits of str": ("def f(): return 10**5000", "", "1" + "0" * 5000),
        "integers about the edges of machines": (
            "def f(): return [10**15 - 1, 10**15, -(10**15), 2**53 + 1, 2**63, -(2**63) - 1, 2**64]",
            "",
            "[999999999999999, 1000000000000000, -1000000000000000, 9007199254740993, 9223372036854775808,"
            " -9223372036854775809, 18446744073709551616]",
        ),
        "several nan in a set": ("def f(): return {float('nan'), float('nan')}", "", "{float('nan'), float('nan')}"),
        "negative integer above the digits of str": ("def f(): return -10**20000", "", "-1" + "0" * 20000),
        "depth of 64": ("def f():\n    x = []\n    for _ in range(63): x = [x]\n    return x", "", "[" * 64 + "]" * 64),
        "text like a literal": ("def f(): return '[1, 2]'", "", "'[1, 2]'"),
        "text like a reply": ('def f(): return \'["ok",1,"",""]\'', "", '\'["ok",1,"",""]\''),
        "text of quotes": ("def f(): return chr(39) + chr(34) + chr(92) + chr(10) + chr(0)", "", "'\\'\"\\\\\\n\\x00'"),
        "lone surrogates": ("def f(): return chr(0xd800) + chr(0xdc00) + 'a'", "", "'\\ud800\\udc00a'"),
        "letters beyond the first plane": ("def f(): return chr(0x1f600)", "", "'\U0001f600'"),
        "text that turns the line around": ("def f(): return chr(0x202e) + 'a'", "", "'\\u202ea'"),
        "all bytes": ("def f(): return bytes([0, 39, 92, 255])", "", 'b"\\x00\'\\\\\\xff"'),
        "argument that is changed": ("def f(x):\n    x.append(1)\n    return x", "[0]", "[0, 1]"),
        "default that keeps state": ("def f(x=[]):\n    x.append(1)\n    return x", "", "[1]"),
        "global that keeps state": ("N = 0\ndef f():\n    global N\n    N += 1\n    return N", "", "1"),
        "attribute that keeps state": ("def f():\n    f.n = getattr(f, 'n', 0) + 1\n    return f.n", "", "1"),
        "module that keeps state": (
            "import math\ndef f():\n    math.n = getattr(math, 'n', 0) + 1\n    return math.n",
            "",
            "1",
        ),
        "Counter as a dict": ("from collections import Counter\ndef f(): return dict(Counter('aab'))", "", "{'a': 2, 'b': 1}"),
        "smallest floats": (
            "def f(): return 5e-324, 1.7976931348623157e308, 0.1 + 0.2",
            "",
            "(5e-324, 1.7976931348623157e+308, 0.30000000000000004)",
        ),
    },
)

ATTACKS: list[Attack] = [*LIES, *TRUTHS]
