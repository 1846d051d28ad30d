"""Attacks on the kernel and on memory by bare system calls, libc and machine code, and on the environment."""

import platform

from tests.verifier.attacks.case import LIBC, MARK, REACH, Attack, answers, attacks

# What a program has no business with, by its number on x86-64 and on arm64.
_NUMBERS = {
    "clone": (56, 220),
    "clone3": (435, 435),
    "execve": (59, 221),
    "execveat": (322, 281),
    "openat2": (437, 437),
    "socket": (41, 198),
    "ptrace": (101, 117),
    "prctl": (157, 167),
    "seccomp": (317, 277),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "chroot": (161, 51),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "io_uring_setup": (425, 425),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "open_by_handle_at": (304, 265),
    "memfd_create": (319, 279),
    "pidfd_open": (434, 434),
    "timer_create": (222, 107),
    "kill": (62, 129),
    "tgkill": (234, 131),
    "reboot": (169, 142),
    "init_module": (175, 105),
    "setuid": (105, 146),
    "shmget": (29, 194),
    "fcntl": (72, 25),
    "ioctl": (16, 29),
    "prlimit64": (302, 261),
    "landlock_create_ruleset": (444, 444),
    "sched_setattr": (314, 274),
    "arch_prctl": (158, 999),
    "personality": (135, 92),
    "a number that no kernel knows": (9999, 9999),
}
_ARM = platform.machine() in ("aarch64", "arm64")

_MACHINE_CODE = f"""{LIBC}
libc.mmap.restype = ctypes.c_void_p

def machine(code):
    memory = libc.mmap(None, 4096, 7, 34, -1, 0)
    ctypes.memmove(memory, code, len(code))
    return ctypes.CFUNCTYPE(ctypes.c_long)(memory)
"""

SYSTEM_CALLS = [
    *attacks(
        "system call",
        "forbidden",
        {name: f"def f(): return libc.syscall({numbers[_ARM]}, *[ctypes.c_long(0)] * 4)" for name, numbers in _NUMBERS.items()},
        before=LIBC,
        reason="system_call",
    ),
    *(
        []
        if _ARM
        else attacks(
            "system call",
            "forbidden|error",
            {
                "fork in machine code": "def f(): return machine(bytes.fromhex('b8390000000f05c3'))()",
                "fork in machine code of 32 bits": "def f(): return machine(bytes.fromhex('b802000000cd80c3'))()",
                "write in code of 32 bits": "def f(): return machine(bytes.fromhex('53b804000000bb03000000cd805bc3'))()",
                "fork in machine code of x32": "def f(): return machine(bytes.fromhex('b8390000400f05c3'))()",
                "open in machine code of x32": "def f(): return machine(bytes.fromhex('b8020000400f05c3'))()",
            },
            before=_MACHINE_CODE,
        )
    ),
    *attacks(
        "system call",
        "forbidden",
        {
            "a page of the machine is broken": "def f(): return libc.madvise(ctypes.c_void_p(id(f) & -4096), 4096, 100)",
            "a page of the machine is taken": "def f(): return libc.madvise(ctypes.c_void_p(id(f) & -4096), 4096, 101)",
            "a library": "def f(): return ctypes.CDLL('libc.so.6').getppid()",
            "clock is set": "def f(): return libc.settimeofday(ctypes.byref((ctypes.c_long * 2)()), None)",
            "user database": "def f(): return libc.getpwuid(0)",
            "load of the machine": "def f(): return libc.getloadavg(ctypes.byref((ctypes.c_double * 3)()), 3)",
            "use of resources": "def f(): return libc.getrusage(0, ctypes.byref((ctypes.c_long * 20)()))",
        },
        before=LIBC,
    ),
    *answers(
        "system call",  # refused, and not fatal: see the filter
        {
            "openat": (f"def f(): return libc.syscall({56 if _ARM else 257}, -100, b'/etc/passwd', 0)", "", "-1"),
            "a file in libc": ("def f(): return libc.fopen(b'/etc/passwd', b'r')", "", "0"),
            "memory of a file": (f"def f(): return libc.shm_open(b'/{MARK}', 66, 0o600)", "", "-1"),
        },
        before=LIBC,
    ),
    *attacks(
        "ctypes",
        "forbidden",
        {
            "class of C functions, among the subclasses": """
                import sys
                def kinds(kind):
                    for each in type.__subclasses__(kind):
                        yield each
                        yield from kinds(each)
                def f():
                    found = next(kind for kind in kinds(object) if kind.__name__ == 'PyDLL')
                    return found.__init__.__globals__['pythonapi'].fork()
                """,
        },
    ),
    *attacks(
        "ctypes",
        "forbidden",
        {
            f"import of {name}": f"import {name}\ndef f(): return 1"
            for name in ("ctypes", "_ctypes", "cffi", "_posixsubprocess")
        },
        reason="import",
    ),
    *attacks(
        "ctypes",
        "error|forbidden",
        {
            "write to address 0": "def f(): ctypes.memset(0, 1, 10)",
            "write over None": "def f(): ctypes.memset(id(None), 0, 16)",
            "write over a code object": "def f():\n    ctypes.memset(id(f.__code__) + 16, 255, 200)\n    return f()",
            "a function at a wild address": "def f(): return ctypes.CFUNCTYPE(None)(0xdeadbeef)()",
            "a write over code": "def f(): ctypes.memmove(ctypes.cast(libc.getpid, ctypes.c_void_p).value, b'x', 1)",
        },
        before=LIBC,
    ),
]

_SEEN = "azr_secret_of_the_supervisor"  # a variable that the tests put into the supervisor's environment
ENVIRONMENT = [
    *answers(
        "environment",
        {
            "os.environ": (f"def f(): return {_SEEN!r} in str(dict(reach('os').environ)).lower()", "", "False"),
            "posix.environ": (f"def f(): return {_SEEN!r} in str(posix.environ).lower()", "", "False"),
            "getenv of libc": (f"def f(): return reach('ctypes').pythonapi.getenv({_SEEN.upper().encode()!r})", "", "0"),
            "arguments": ("def f(): return sys.argv, sys.orig_argv", "", "([''], [''])"),
            "path of the interpreter": ("def f(): return sys.executable", "", "''"),
            "path of modules": ("def f(): return sys.path", "", "[]"),
            "putenv": ("def f(): return posix.putenv(b'LD_PRELOAD', b'/x')", "", "None"),
        },
        before=REACH,
    ),
    *attacks(
        "environment",
        "forbidden",
        {
            "user": "def f(): return posix.getuid()",
            "parent": "def f(): return posix.getppid()",
            "login": "def f(): return posix.getlogin()",
            "processors": "def f(): return posix.sched_getaffinity(0)",
            "load": "def f(): return posix.getloadavg()",
            "times": "def f(): return posix.times()",
            "limits": "def f(): return posix.getpriority(0, 0)",
        },
        before=REACH,
    ),
    *attacks(
        "environment",
        "forbidden",
        {
            f"import of {name}": f"import {name}\ndef f(): return 1"
            for name in ("platform", "pwd", "resource", "getpass", "sysconfig", "gettext")
        },
        reason="import",
    ),
]

ATTACKS: list[Attack] = [*SYSTEM_CALLS, *ENVIRONMENT]
