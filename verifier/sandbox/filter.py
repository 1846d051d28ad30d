"""The system calls that a program may make: compute, allocate, look at the clock, write its reply, end.

Opening a file is refused. Everything else ends its process at once: no socket, process, thread, signal to others, change of
its own limits.
The filter is compiled here by libseccomp and installed by each child on itself (`child.py`).
"""

import errno
import tempfile
from functools import cache

from configs.errors import UserError
from verifier.sandbox.protocol import RESULT_FD

ALLOWED = (
    *("brk", "mmap", "munmap", "mremap", "mprotect"),
    *("clock_gettime", "clock_getres", "gettimeofday", "time", "nanosleep", "clock_nanosleep", "restart_syscall"),
    *("futex", "sched_yield", "rt_sigreturn", "rt_sigaction", "rt_sigprocmask", "sigaltstack"),
    *("getpid", "gettid", "getrandom", "exit", "exit_group"),
)
# Told that it may not, rather than ended: the interpreter itself looks for source files when it explains an error or a warning.
REFUSED = ("open", "openat", "stat", "lstat", "fstat", "newfstatat", "statx", "access", "readlink", "readlinkat", "getcwd")
WRITABLE_FDS = (1, 2, RESULT_FD)  # 1 and 2 are /dev/null
MADV_HWPOISON = 100  # from here on, advice breaks pages of the machine: for root, where no wall but this one stands


@cache
def compiled_filter() -> str:
    """The filter for this machine's architecture, in hexadecimal. Raises UserError where libseccomp is missing."""
    try:
        import pyseccomp
    except (ImportError, RuntimeError) as error:
        raise UserError(
            f"the sandbox needs libseccomp, which cannot be loaded here ({error}); install it (Debian, Ubuntu: apt install "
            "libseccomp2) and run `make setup`"
        ) from error
    made = pyseccomp.SyscallFilter(pyseccomp.KILL_PROCESS)
    for name in ALLOWED:
        made.add_rule(pyseccomp.ALLOW, name)
    for name in REFUSED:
        made.add_rule(pyseccomp.ERRNO(errno.EPERM), name)
    for descriptor in WRITABLE_FDS:
        made.add_rule(pyseccomp.ALLOW, "write", pyseccomp.Arg(0, pyseccomp.EQ, descriptor))
    made.add_rule(pyseccomp.ALLOW, "madvise", pyseccomp.Arg(2, pyseccomp.LT, MADV_HWPOISON))
    with tempfile.TemporaryFile() as file:
        made.export_bpf(file)
        file.seek(0)
        return file.read().hex()
