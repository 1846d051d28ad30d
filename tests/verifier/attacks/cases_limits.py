"""Attacks on time, memory and the volume of output."""

import platform

from tests.verifier.attacks.case import LIBC, REACH, Attack, answers, attacks, waiting

_FUTEX = 202 if platform.machine() == "x86_64" else 98

ENDLESS = waiting(
    [
        *attacks(
            "time",
            "timeout",
            {
                "endless loop": "def f():\n    while True: pass",
                "endless loop while the module is loaded": "while True: pass\ndef f(): return 1",
                "power in one call of C": "def f(): return len(str(10**10**8))",
                "sum in one call of C": "def f(): return sum(range(10**12))",
                "regex that backtracks": "import re\ndef f(): return re.match(r'(a+)+$', 'a' * 60 + 'b')",
                "sleep": "import time\ndef f(): time.sleep(1000)",
                "loop that catches everything": """
                    def f():
                        while True:
                            try:
                                while True: pass
                            except BaseException:
                                continue
                    """,
                "loop in a finaliser": """
                    class Slow:
                        def __del__(self):
                            while True: pass
                    def f():
                        Slow()
                        return 1
                    """,
                "loop in the message of an exception": """
                    class Slow(Exception):
                        def __str__(self):
                            while True: pass
                    def f(): raise Slow
                    """,
                "loop in finally after an exit": """
                    import sys
                    def f():
                        try: sys.exit()
                        finally:
                            while True: pass
                    """,
                "iterator without end": "import itertools\ndef f(): return sum(itertools.repeat(0))",
                "factorial": "import math\ndef f(): return math.factorial(10**8) % 7",
                "long number from text": """
                    import sys
                    def f():
                        sys.set_int_max_str_digits(0)
                        return int('9' * 10**7) % 7
                    """,
                "sorting with a comparison without end": """
                    class Odd:
                        def __lt__(self, other):
                            while True: pass
                    def f(): return sorted([Odd(), Odd()])
                    """,
                "hash without end": """
                    class Odd:
                        def __hash__(self):
                            while True: pass
                    def f(): return {Odd()}
                    """,
                "collisions of integers": "def f(): return len({number * (2**61 - 1) for number in range(10**5)})",
            },
        ),
        *attacks(
            "time",
            "timeout",
            {
                "lock that is never let go": """
                    def f():
                        lock = reach('_thread').allocate_lock()
                        lock.acquire()
                        lock.acquire()
                    """,
                "loop with all signals blocked": """
                    def f():
                        signal = reach('_signal')
                        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
                        while True: pass
                    """,
                "loop that ignores the signal of the CPU limit": """
                    def f():
                        signal = reach('_signal')
                        for number in (1, 2, 3, 13, 14, 15, 24, 25):
                            signal.signal(number, signal.SIG_IGN)
                        while True: pass
                    """,
                "reply that is forged, then a loop": """
                    def f():
                        posix.write(3, b'["ok",1,"",""]')
                        while True: pass
                    """,
                "reply that is forged, then a sleep": """
                    import time
                    def f():
                        posix.write(3, b'["ok",1,"",""]')
                        time.sleep(1000)
                    """,
                "flood of the reply's descriptor": "def f():\n    while True: posix.write(3, b'x' * 65536)",
                "flood of descriptor 1": "def f():\n    while True: posix.write(1, b'x' * 65536)",
            },
            before=REACH,
        ),
        *attacks(
            "time",
            "timeout",
            {
                "sleep in the kernel without the interpreter": "def f(): libc.sleep(1000)",
                "wait on a futex": f"def f(): libc.syscall({_FUTEX}, ctypes.byref(ctypes.c_int(0)), 0, 0, None)",
            },
            before=LIBC,
        ),
        *attacks(
            "memory",
            "error|memory|timeout",
            {
                "stack of C": """
                    import sys
                    def f():
                        sys.setrecursionlimit(10**9)
                        nested = []
                        for _ in range(10**6): nested = [nested]
                        return len(repr(nested))
                    """,
            },
        ),
        *attacks("flood", "timeout", {"prints without end": "def f():\n    while True: print('x' * 1000)"}),
        *attacks(
            "memory",
            "memory|timeout",
            {
                "list that grows": "def f():\n    grown = []\n    while True: grown.append([0] * 1000)",
                "dict that grows": "def f():\n    grown = {}\n    while True: grown[len(grown)] = [len(grown)] * 50",
                "text that doubles": "def f():\n    grown = 'x'\n    while True: grown += grown",
                "tower of powers": "def f(): return 9**9**9",
                "recursion without a limit": """
                    import sys
                    sys.setrecursionlimit(10**9)
                    def f(x=0): return f(x + 1)
                    """,
                "generators in generators": """
                    def f():
                        chain = iter([1])
                        while True: chain = (item for item in chain)
                    """,
                "text that doubles, caught again and again": """
                    def f():
                        held = []
                        while True:
                            try: held.append('x' * 10**7)
                            except MemoryError: pass
                    """,
            },
        ),
    ]
)

MEMORY = [
    *attacks(
        "memory",
        "memory",
        {
            "list": "def f(): return [0] * 10**10",
            "bytes": "def f(): return len(bytes(10**10))",
            "text": "def f(): return len('a' * 10**10)",
            "integer": "def f(): return (1 << 10**11) % 3",
            "padding": "def f(): return len(format(1, '2000000000'))",
            "bytearray": "def f(): return len(bytearray(2 * 10**9))",
            "raised by hand": "def f(): raise MemoryError",
            "joined": "def f(): return len(','.join(['x' * 10**6] * 10**4))",
        },
    ),
    *attacks(
        "memory",
        "error|memory",
        {
            "recursion to the limit": "def f(): return f()",
            "source of deep brackets": "def f(): return " + "(" * 30000 + ")" * 30000,
            "source of deep signs": "def f(): return " + "-" * 60000 + "1",
            "source of deep lists": "def f(): return " + "[" * 250 + "]" * 250,
        },
    ),
    *attacks(
        "memory",
        "error",
        {"mapped without the interpreter": "def f():\n    while libc.malloc(1 << 26): pass\n    raise KeyError"},
        before=LIBC,
    ),
    *answers(
        "memory",
        {
            "a lack that is caught": (
                "def f():\n    try: return len(bytes(10**10))\n    except MemoryError: return 'caught'",
                "",
                "'caught'",
            ),
            "long chain that is freed": (
                "def f():\n    chain = []\n    for _ in range(10**5): chain = [chain]\n    del chain\n    return 1",
                "",
                "1",
            ),
        },
    ),
]

FLOODS = [
    *attacks(
        "flood",
        "too_large_output",
        {
            "long text": "def f(): return 'x' * 10**7",
            "long bytes": "def f(): return bytes(10**7)",
            "long list": "def f(): return list(range(10**6))",
            "long dict": "def f(): return dict.fromkeys(range(10**5))",
            "long integer": "def f(): return 1 << 10**6",
            "text of NUL": "def f(): return chr(0) * 50000",
            "bytes that are longer as a literal": "def f(): return bytes(30000)",
            "text that is longer as a literal": "def f(): return chr(0x10ffff) * 9000",
            "shared lists that unfold": """
                def f():
                    grown = [1]
                    for _ in range(50): grown = [grown, grown]
                    return grown
                """,
            "a list in itself": "def f():\n    grown = []\n    grown.append(grown)\n    return grown",
            "a dict in itself": "def f():\n    grown = {}\n    grown[1] = grown\n    return grown",
            "a tuple in itself": "def f():\n    inner = []\n    grown = (inner,)\n    inner.append(grown)\n    return grown",
            "deep list": "def f():\n    grown = []\n    for _ in range(100): grown = [grown]\n    return grown",
            "deep frozensets": """
                def f():
                    grown = frozenset()
                    for _ in range(40): grown = frozenset([grown])
                    return grown
                """,
        },
    ),
    *attacks(
        "flood",
        "error",
        {
            "message of an exception": "def f(): raise ValueError('x' * 10**7)",
            "name of an exception": "def f(): raise type('X' * 10**6, (Exception,), {})",
            "name of a type": "def f(): return type('X' * 10**6, (), {})()",
            "exceptions in a row": """
                def f():
                    error = None
                    for number in range(10**4):
                        after = ValueError(number)
                        after.__cause__ = error
                        error = after
                    raise error
                """,
        },
    ),
    *answers(
        "flood",
        {
            "prints": ("def f():\n    for _ in range(1000): print('x' * 1000)\n    return 1", "", "1"),
            "print of a long text": ("def f():\n    print('x' * 10**7, flush=True)\n    return 1", "", "1"),
            "standard error": ("import sys\ndef f(): return sys.stderr.write('x' * 10**6)", "", "1000000"),
            "warnings": ("def f():\n    exec('1 is 1')\n    return eval('2 is 2')", "", "True"),
            "finalisers that fail": (
                """
                    class Loud:
                        def __del__(self): raise ValueError('x' * 1000)
                    def f():
                        for _ in range(100): Loud()
                        return 1
                    """,
                "",
                "1",
            ),
        },
    ),
    *answers(
        "flood",
        {
            "descriptors 1 and 2": (
                "def f(): return [posix.write(fd, b'x' * 10**6) for fd in (1, 2) for _ in range(10)][-1]",
                "",
                "1000000",
            )
        },
        before=REACH,
    ),
]

ATTACKS: list[Attack] = [*ENDLESS, *MEMORY, *FLOODS]
