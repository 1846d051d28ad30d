"""Attacks by the ways in which a process ends: exceptions, exits, crashes and signals."""

from tests.verifier.attacks.case import LIBC, REACH, Attack, answers, attacks

EXITS = [
    *attacks(
        "exit",
        "error",
        {
            "sys.exit": "import sys\ndef f(): sys.exit(0)",
            "sys.exit while the module is loaded": "import sys\nsys.exit(0)\ndef f(): return 1",
            "sys.exit with a text": 'import sys\ndef f(): sys.exit(\'["ok",1,"",""]\')',
            "SystemExit": "def f(): raise SystemExit",
            "SystemExit in a generator": """
                def f():
                    def inner():
                        yield 1
                        raise SystemExit(0)
                    return list(inner())
                """,
            "KeyboardInterrupt": "def f(): raise KeyboardInterrupt",
            "GeneratorExit": "def f(): raise GeneratorExit",
            "StopIteration": "def f(): return next(iter([]))",
            "StopIteration in a generator": "def f(): return list((next(iter([])) for _ in [1]))",
            "an exception of one's own": "class Mine(BaseException): pass\ndef f(): raise Mine(1)",
            "an exception that lies about its class": """
                class Mine(Exception):
                    __class__ = property(lambda self: MemoryError)
                def f(): raise Mine
                """,
            "an exception whose text fails": """
                class Mine(Exception):
                    def __str__(self): raise SystemExit(0)
                    __repr__ = __str__
                def f(): raise Mine
                """,
            "an exception whose text is none": """
                class Mine(Exception):
                    def __str__(self): return 5
                def f(): raise Mine
                """,
            "an exception with a name of its own class": """
                class Name(str):
                    def __format__(self, how): raise SystemExit(0)
                    __str__ = __hash__ = __eq__ = __format__
                class Mine(Exception): pass
                Mine.__name__ = Name('Mine')
                def f(): raise Mine
                """,
            "no exception": "def f(): raise 5",
            "a group of exceptions": "def f(): raise ExceptionGroup('x', [ValueError(1), TypeError(2)])",
        },
    ),
    *attacks(
        "exit",
        "error",
        {
            "an exception among the builtins": """
                import builtins
                class invented(Exception): pass
                builtins.invented = invented
                def f(): raise invented
                """,
        },
        reason="exception",
    ),
    *attacks(
        "exit",
        "error",
        {"a text of surrogates": "def f(): raise ValueError(chr(0xd800) + chr(27) + '[31m')"},
        reason="ValueError",
    ),
    *attacks(
        "exit",
        "error",
        {
            "_exit": "def f(): posix._exit(0)",
            "_exit with the code of a broken child": "def f(): posix._exit(97)",
            "exit of libc": "def f(): reach('ctypes').pythonapi.exit(0)",
            "_exit of libc": "def f(): reach('ctypes').pythonapi._exit(1)",
            "exit of the interpreter": "def f(): reach('ctypes').pythonapi.Py_Exit(0)",
        },
        before=REACH,
        reason="no_result",
    ),
    *attacks(
        "exit",
        "error|forbidden",
        {
            "null pointer": "def f(): return reach('ctypes').string_at(0)",
            "fatal error": "def f(): reach('ctypes').pythonapi.Py_FatalError(b'x')",
            "abort": "def f(): posix.abort()",
            "finalised interpreter": "def f(): reach('ctypes').pythonapi.Py_Finalize()",
        },
        before=REACH,
    ),
    *answers(
        "exit",
        {
            "SystemExit in a finaliser": (
                "class Last:\n    def __del__(self): raise SystemExit(0)\ndef f():\n    Last()\n    return 1",
                "",
                "1",
            ),
            "breakpoint": ("def f(): return breakpoint()", "", "None"),
            "exit that is caught": ("import sys\ndef f():\n    try: sys.exit()\n    except BaseException: return 1", "", "1"),
        },
    ),
    *answers(
        "exit",
        {
            "atexit": (
                'def f():\n    reach(\'atexit\').register(posix.write, 3, b\'["ok",2,"",""]\')\n    return 1',
                "",
                "1",
            ),
            "excepthook": (
                "def f():\n    sys.excepthook = sys.unraisablehook = lambda *_: posix._exit(0)\n    return 1",
                "",
                "1",
            ),
        },
        before=REACH,
    ),
]

SIGNALS = [
    *attacks(
        "signal",
        "forbidden",
        {
            "SIGKILL to everybody": "def f(): posix.kill(-1, 9)",
            "SIGKILL to the group": "def f(): posix.kill(0, 9)",
            "SIGKILL to the parent": "def f(): posix.kill(posix.getppid(), 9)",
            "SIGKILL to a neighbour": "def f(): posix.kill(posix.getpid() - 1, 9)",
            "SIGKILL to itself": "def f(): posix.kill(posix.getpid(), 9)",
            "SIGSTOP to itself": "def f(): posix.kill(posix.getpid(), 19)",
            "SIGTERM to process 1": "def f(): posix.kill(1, 15)",
            "killpg": "def f(): posix.killpg(posix.getpid(), 9)",
            "alarm": "def f(): reach('_signal').alarm(1)",
            "timer": "def f(): reach('_signal').setitimer(0, 0.1)",
            "raise_signal": "def f(): reach('_signal').raise_signal(9)",
            "pthread_kill": "def f(): reach('_signal').pthread_kill(reach('_thread').get_ident(), 9)",
            "pidfd_open": "def f(): reach('_signal').pidfd_send_signal(posix.pidfd_open(1), 9)",
            "pause": "def f(): reach('_signal').pause()",
            "wait for a signal": "def f(): reach('_signal').sigwait([15])",
            "priority": "def f(): posix.setpriority(0, 0, 19)",
            "affinity": "def f(): posix.sched_setaffinity(0, [0])",
            "user": "def f(): posix.setuid(0)",
        },
        before=REACH,
    ),
    *attacks(
        "signal",
        "forbidden",
        {
            "death of the parent is not told": "def f(): libc.prctl(1, 0, 0, 0, 0)",
            "sigqueue": "def f(): libc.sigqueue(1, 9, None)",
            "limits are raised": "def f(): libc.setrlimit(0, ctypes.byref((ctypes.c_ulong * 2)(2**63, 2**63)))",
        },
        before=LIBC,
    ),
    *answers(
        "signal",
        {
            "handlers of its own": (
                """
                    def f():
                        signal = reach('_signal')
                        signal.signal(15, signal.SIG_IGN)
                        signal.signal(2, lambda *_: 1)
                        return 1
                    """,
                "",
                "1",
            )
        },
        before=REACH,
    ),
]

ATTACKS: list[Attack] = [*EXITS, *SIGNALS]
