"""Attacks on determinism: outputs that hang on the hash seed, the clock, chance, addresses or the run itself."""

from dataclasses import replace

from tests.verifier.attacks.case import LIBC, REACH, Attack, answers, attacks

_UNSTABLE = [
    *attacks(
        "chance",
        "nondeterministic",
        {
            "hash of a text": "def f(): return hash('a')",
            "hash of bytes": "def f(): return hash(b'a') % 16",
            "hash of a tuple": "def f(): return hash(('a', 1)) % 3",
            "hash by its method": "def f(): return 'a'.__hash__() % 8",
            "hash by its type": "def f(): return str.__hash__('a') % 8",
            "hash of a type": "def f(): return hash(int)",
            "hash of a function": "def f(): return hash(f)",
            "hash of None": "def f(): return hash(None)",
            "hash of nan": "def f(): return hash(float('nan'))",
            "hash of an object, its low bits": "def f(): return hash(object()) % 256",
            "order of a set": "def f(): return list({'a', 'b', 'c', 'd', 'e', 'f'})",
            "order of two members": "def f(): return list({'a', 'b'})",
            "order of two bytes": "def f(): return list({b'a', b'b'})",
            "order of a frozenset": "def f(): return ''.join(frozenset('hello world'))",
            "order of a set of tuples": "def f(): return [x for x in {('a', 1), ('b', 2), ('c', 3)}]",
            "order of a set of classes": """
                def f():
                    kinds = [type(name, (), {}) for name in 'abcdefgh']
                    return [kind.__name__ for kind in set(kinds)]
                """,
            "order of a comprehension": "def f(): return [x for x in {word[0] for word in ('ab', 'cd', 'ef', 'gh')}]",
            "text of a set": "def f(): return str({'a', 'b', 'c'})",
            "a set's pop": "def f(): return {'a', 'b', 'c', 'd'}.pop()",
            "a set's first": "def f(): return next(iter({'a', 'b', 'c', 'd'}))",
            "a set's first, unpacked": "def f():\n    first, *rest = {'a', 'b', 'c', 'd'}\n    return first",
            "a set's best among equals": "def f(): return max({'a', 'b', 'c', 'd'}, key=len)",
            "sum of floats in a set's order": """
                def f():
                    floats = {'a': 1e16, 'b': 1.0, 'c': -1e16, 'd': 1.0}
                    return sum(floats[name] for name in {'a', 'b', 'c', 'd'})
                """,
            "dict from a set": "def f(): return list(dict.fromkeys({'a', 'b', 'c', 'd'}))",
            "set operations on keys": "def f(): return list({'a': 1, 'b': 2, 'c': 3}.keys() & {'a', 'b', 'c'})",
            "Counter of a set": "from collections import Counter\ndef f(): return Counter({'a', 'b', 'c', 'd'}).most_common(1)",
            "set by another name": """
                import builtins
                def f(): return list(getattr(builtins, 's' + 'et')('abcdefgh'))
                """,
            "set by its type": "def f(): return list(type({1})('abcd'))",
            "set by unpacking": "def f(): return list({*'abcd'})",
            "set with vertical stroke": "def f(): return list({'a', 'b'} | {'c', 'd'})",
            "address": "def f(): return id(f)",
            "address, its low bits": "def f(): return id([]) % 4096",
            "address, a few bits": "def f(): return id(object()) // 64 % 16",
            "text of an object": "def f(): return repr(object())",
            "text of a function": "def f(): return str(f)",
            "text of a generator": "def f(): return repr(x for x in [1])",
            "text of an iterator": "def f(): return f'{iter([])}'",
            "text of a lambda in a list": "def f(): return str([lambda: 1])",
            "order by address": "def f(): return sorted(range(5), key=lambda x: id(str(x) * 100))[0:3] + [id('x' * 50) % 97]",
            "random": "import random\ndef f(): return random.random()",
            "random of four": "import random\ndef f(): return random.randint(0, 3)",
            "random bits": "import random\ndef f(): return random.getrandbits(2)",
            "random choice": "import random\ndef f(): return random.choice('abcd')",
            "random order": "import random\ndef f():\n    x = [1, 2, 3, 4, 5]\n    random.shuffle(x)\n    return x",
            "random of the system": "import random\ndef f(): return random.SystemRandom().random()",
            "random generator of one's own": "from random import Random\ndef f(): return Random().random()",
            "random, seeded by the hash": "import random\ndef f():\n    random.seed(hash('a'))\n    return random.random()",
            "random, seeded by the time": """
                import random, time
                def f():
                    random.seed(time.time())
                    return random.random()
                """,
            "time": "import time\ndef f(): return time.time()",
            "time in hours": "import time\ndef f(): return int(time.time() // 3600)",
            "time in days": "import time\ndef f(): return int(time.time() // 86400)",
            "time in nanoseconds": "import time\ndef f(): return time.time_ns() // 10**12",
            "time by its number": "import time\ndef f(): return int(time.clock_gettime(time.CLOCK_REALTIME)) // 1000",
            "time by its number in nanoseconds": "import time\ndef f(): return time.clock_gettime_ns(0) // 10**13",
            "uptime": "import time\ndef f(): return int(time.monotonic()) // 60",
            "stop-watch": "import time\ndef f(): return time.perf_counter()",
            "stop-watch, coarse": "import time\ndef f(): return int(time.perf_counter_ns() // 10**12)",
            "time of the processor": "import time\ndef f(): return time.process_time()",
            "time of the thread": "import time\ndef f(): return time.thread_time_ns()",
            "time as text": "import time\ndef f(): return time.ctime()",
            "time as a form": "import time\ndef f(): return time.strftime('%Y-%m-%d')",
            "time as parts": "import time\ndef f(): return time.localtime().tm_hour, time.gmtime().tm_mon",
            "now": "import datetime\ndef f(): return str(datetime.datetime.now())",
            "now in UTC": """
                from datetime import datetime, timezone
                def f(): return datetime.now(timezone.utc).isoformat()[:10]
                """,
            "today": "from datetime import date\ndef f(): return date.today().isoformat()",
            "day of the week": "import datetime as d\ndef f(): return d.date.today().weekday()",
            "day of the week, by a calendar": """
                import calendar, datetime
                def f(): return calendar.day_name[datetime.datetime.utcnow().weekday()]
                """,
            "month": "from datetime import datetime\ndef f(): return datetime.now().month",
            "year": "from datetime import datetime\ndef f(): return datetime.today().year",
            "hour": "import datetime\ndef f(): return datetime.datetime.now().hour",
            "age": "from datetime import date\ndef f(): return (date.today() - date(2000, 1, 1)).days // 100",
        },
    ),
    *attacks(
        "chance",
        "nondeterministic",
        {
            "bytes of the system": "def f(): return posix.urandom(4)",
            "number of the process": "def f(): return posix.getpid()",
            "sizes of tables": "def f(): return [id(module) % 1024 for module in sys.modules.values()]",
        },
        before=REACH,
    ),
    *attacks(
        "chance",
        "nondeterministic|error",  # an error where the frames hold no such thing
        {
            "name of the run": """
                def f():
                    frame = sys._getframe()
                    while frame is not None:
                        for name in ('job', 'run', 'number', 'token'):
                            if type(frame.f_locals.get(name)) is int: return frame.f_locals[name]
                        frame = frame.f_back
                    raise KeyError
                """,
            "bytes of the request": """
                def f():
                    frame = sys._getframe()
                    while frame is not None:
                        if type(frame.f_locals.get('data')) is bytes: return sum(frame.f_locals['data'])
                        frame = frame.f_back
                    raise KeyError
                """,
        },
        before=REACH,
    ),
    *attacks(
        "chance",
        "nondeterministic",
        {
            "random of libc": """
                def f():
                    data = ctypes.create_string_buffer(8)
                    libc.getrandom(data, 8, 0)
                    return data.raw
                """,
            "address of the stack": "def f(): return ctypes.addressof(ctypes.c_int())",
            "address of a function of C": "def f(): return ctypes.cast(libc.getpid, ctypes.c_void_p).value // 4096",
        },
        before=LIBC,
    ),
    *attacks(
        "chance",
        "nondeterministic|error",
        {
            "an error by chance": "import random\ndef f(): return 1 / random.randint(0, 3)",
            "an error by hash": "def f(): return [1][hash('a') % 2]",
        },
    ),
    *attacks(
        "chance",
        "ok|nondeterministic",  # an address within the interpreter's own file: the same wherever it runs
        {"order of a set of types": "def f(): return [x.__name__ for x in {int, str, list, dict, set, tuple, float}]"},
    ),
    *attacks(
        "chance",
        "nondeterministic|timeout",
        {"a loop by hash": "def f():\n    while hash('a') % 2: pass\n    return hash('b')"},
    ),
    *attacks(
        "chance",
        "nondeterministic|error",
        {
            "a type by hash": "def f(): return [1, 1.0, True, '1'][hash('a') % 4]",
            "a liar by hash": "def f(): return [1, f][hash('x') % 2]",
        },
    ),
]

STABLE = answers(
    "chance",
    {
        "random with a seed": ("import random\ndef f():\n    random.seed(1)\n    return random.randint(0, 9)", "", "2"),
        "random generator with a seed": ("from random import Random\ndef f(): return Random('a').randint(0, 99)", "", "34"),
        "a set, sorted": ("def f(): return sorted({'a', 'b', 'c'})", "", "['a', 'b', 'c']"),
        "a set": ("def f(): return {'b', 'a', 'c'}", "", "{'a', 'b', 'c'}"),
        "a set's size": ("def f(): return len(set('hello'))", "", "4"),
        "a set of small integers": ("def f(): return list({3, 1, 2})", "", "[1, 2, 3]"),
        "a dict of a set, by its values": ("def f(): return {x: ord(x) for x in {'a', 'b'}}['a']", "", "97"),
        "hash of an integer": (
            "def f(): return hash(5), hash(2.0), hash((1, 2)), hash(True)",
            "",
            "(5, 2, -3550055125485641917, 1)",
        ),
        "order of a dict": ("def f(): return list({'b': 1, 'a': 2})", "", "['b', 'a']"),
        "identity": ("def f(x): return id(x) == id(x)", "[]", "True"),
        "a time that is given": ("import time\ndef f(): return time.strftime('%Y-%m-%d', time.gmtime(0))", "", "'1970-01-01'"),
        "a date that is given": ("from datetime import datetime\ndef f(): return datetime(2020, 2, 29).weekday()", "", "5"),
        "a date that is read": (
            "from datetime import datetime\ndef f(): return datetime.strptime('2020-02-29', '%Y-%m-%d').isoformat()",
            "",
            "'2020-02-29T00:00:00'",
        ),
        "Counter": (
            "from collections import Counter\ndef f(): return Counter('aab').most_common()",
            "",
            "[('a', 2), ('b', 1)]",
        ),
        "a time that has passed": (
            "import time\ndef f():\n    start = time.time()\n    return time.time() - start < 60",
            "",
            "True",
        ),
        "floats": ("def f(): return 0.1 + 0.2, 1e22, f'{2/3:.3f}', round(2.5)", "", "(0.30000000000000004, 1e+22, '0.667', 2)"),
        "default that keeps state": ("def f(x={}):\n    x[len(x)] = 1\n    return len(x)", "", "1"),
        "order of definitions": (
            "class A:\n    b = 1\n    a = 2\ndef f(): return [x for x in vars(A) if x[0] != '_']",
            "",
            "['b', 'a']",
        ),
    },
)
ATTACKS: list[Attack] = [replace(attack, chance=True) for attack in (*_UNSTABLE, *STABLE)]
