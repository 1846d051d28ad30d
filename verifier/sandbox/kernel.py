"""The kernel's walls that Python has no module for, by ctypes: no_new_privs, seccomp, Landlock, namespaces.

Each function returns whether the kernel gave it; none raises. Linux on x86-64 and arm64.
"""

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
SIGKILL = 9
SECCOMP_MODE_FILTER = 2
CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWNET = 0x4000000, 0x8000000, 0x10000000, 0x40000000
SYS_LANDLOCK_CREATE, SYS_LANDLOCK_RESTRICT = 444, 446  # the same on both architectures
# Access rights by the Landlock version that introduced them (linux/landlock.h): the first has 13, later ones add one each.
FS_RIGHTS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
INSTRUCTION_BYTES = 8
CAPABILITY_VERSION = 0x20080522  # the third, of 64 capabilities


class Program(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


class Ruleset(ctypes.Structure):
    """struct landlock_ruleset_attr"""

    _fields_ = [("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


def end_with_parent(parent: int) -> bool:
    """From now on the kernel kills this process when its parent dies; False where it is dead already."""
    return bool(_libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 and os.getppid() == parent)


def forbid_new_privileges() -> bool:
    _libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    return bool(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)


def seccomp_program(compiled: bytes) -> Program:
    return Program(len(compiled) // INSTRUCTION_BYTES, compiled)


def install_filter(program: Program) -> bool:
    return bool(_libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0)


def leave_namespaces() -> bool:
    """Own network (with no interface up), IPC and host name; through a user namespace where this is not root."""
    flags = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS
    return bool(_libc.unshare(flags) == 0 or _libc.unshare(flags | CLONE_NEWUSER) == 0)


def drop_root() -> bool:
    """Becomes nobody; True as well where this is an ordinary user already."""
    if os.geteuid() != 0:
        return True
    try:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
    except OSError:  # a user namespace or a container that maps no other user
        return False
    return True


def drop_capabilities() -> bool:
    """Every capability, also those that a new user namespace gave; they cannot come back without a set-uid program."""
    header, nothing = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    return bool(_libc.capset(header, nothing) == 0)


def forbid_files() -> bool:
    """Landlock without a single rule: no file can be opened, made or executed, no port bound or connected."""
    abi = _libc.syscall(SYS_LANDLOCK_CREATE, None, 0, 1)
    if abi < 1:
        return False
    rights = (1 << FS_RIGHTS_BY_ABI.get(min(abi, 5), 13)) - 1
    ruleset = Ruleset(rights, 0b11 if abi >= 4 else 0, 0b11 if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    descriptor = _libc.syscall(SYS_LANDLOCK_CREATE, ctypes.byref(ruleset), size, 0)
    if descriptor < 0:
        return False
    restricted = _libc.syscall(SYS_LANDLOCK_RESTRICT, descriptor, 0) == 0
    os.close(descriptor)
    return bool(restricted)
