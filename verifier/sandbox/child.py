"""What a child does between its fork and its end: put up its walls, run one program on one input, reply, exit.

Nothing that the program could gain by is in this process: not the expected output, not another program, not a file, not a
variable of the environment. So it may do what it likes with the interpreter; the kernel's walls are what holds it.
"""

import ast
import builtins
import gc
import os
import resource
import sys
import types
from collections.abc import Callable
from functools import partial
from math import ceil
from typing import NoReturn

from verifier.sandbox.encoding import Encoder, TooLarge, Unsupported
from verifier.sandbox.kernel import Program, end_with_parent, install_filter
from verifier.sandbox.protocol import MAX_TEXT_BYTES, RESULT_FD, Reply, Settings, read_texts

ANY_DESCRIPTOR = 1 << 16
SETUP_FAILED = 97  # exit status when a wall cannot be put up; the program has not run then
FILENAME = "<program>"
# One for each size that the interpreter's allocator tells apart, up to 288 bytes: object() takes 16, a float 24, bytes(15) 48.
_MAKERS: tuple[Callable[[], object], ...] = (
    object,
    dict,
    list,
    partial(float, "0.5"),
    *(partial(bytes, size) for size in range(15, 256, 16)),
)


class ArgumentsError(Exception):
    """The text of the argument list is not one."""


def run_child(parent: int, descriptor: int, settings: Settings, walls: Program) -> NoReturn:
    """Runs in the fresh child; never returns to the server's code, whatever happens."""
    try:
        os.setsid()
        os.dup2(descriptor, RESULT_FD)
        os.closerange(RESULT_FD + 1, ANY_DESCRIPTOR)
        program, arguments = read_texts(_read())
        _limit(settings)
        if end_with_parent(parent) and install_filter(walls):
            held = _scatter() if settings.scatter else None
            os.write(RESULT_FD, _reply(program, arguments, settings.output_bytes))
            del held
            os._exit(0)
    finally:
        os._exit(SETUP_FAILED)


def _read() -> bytes:
    """All that the supervisor sent; it has closed its sending side."""
    data = b""
    while chunk := os.read(RESULT_FD, MAX_TEXT_BYTES):
        data += chunk
    return data


def _limit(settings: Settings) -> None:
    """What the server cannot have put up for its children: its own time counts too, and it must fork."""
    seconds = ceil(settings.timeout_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))  # the hard limit kills without saying why
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def _reply(program: str, arguments: str, output_bytes: int) -> bytes:
    """The reply in bytes; a lack of memory is told in the few bytes that are left."""
    gc.enable()
    try:
        reply = _evaluate(program, arguments, output_bytes)
        return reply if len(reply) <= output_bytes else _TOO_LARGE
    except MemoryError:
        return _NO_MEMORY
    except BaseException as error:  # noqa: BLE001 - whatever the program raises is its outcome
        return _failure(error).to_bytes()


def _scatter() -> list[object]:
    """Some objects of each small size, a random number of them, and a few large ones.

    What the program allocates then lies elsewhere in each run, in the low bits of addresses too, which would else be the same
    in every world; so an output that depends on them is found out.
    """
    counts = os.urandom(len(_MAKERS) + 4)
    small: list[object] = [make() for make, count in zip(_MAKERS, counts, strict=False) for _ in range(count % 16)]
    large = [type("", (), {}) for _ in range(counts[-1] % 4)]
    return [*small, *large, *(bytes(560 + 16 * count) for count in counts[-4:])]


_TOO_LARGE = Reply("too_large_output", reason="size").to_bytes()
_NO_MEMORY = Reply("memory", reason="memory").to_bytes()


def _evaluate(program: str, arguments: str, output_bytes: int) -> bytes:
    module = types.ModuleType("program")
    sys.modules["program"] = module  # dataclasses and enums look their module up
    namespace = module.__dict__
    try:
        code = compile(program, FILENAME, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError) as error:
        return Reply("error", reason="syntax", detail=_message(error)).to_bytes()
    try:
        call = _call(arguments)
    except (SyntaxError, ValueError, RecursionError, ArgumentsError) as error:
        return Reply("error", reason="input_syntax", detail=_message(error)).to_bytes()
    exec(code, namespace)
    if not callable(namespace.get("f")):
        return Reply("error", reason="no_function", detail="the program defines no function f").to_bytes()
    value = eval(call, namespace)
    try:
        return Reply.of_value(Encoder(output_bytes).encode(value))
    except TooLarge as error:
        return Reply("too_large_output", reason=error.reason).to_bytes()
    except Unsupported as error:
        return Reply("error", reason="output_type", detail=error.name[:80]).to_bytes()


def _call(arguments: str) -> types.CodeType:
    """`f(arguments)`, and nothing but that: text that closes the parenthesis itself makes another tree than one call of f."""
    tree = ast.parse(f"f({arguments}\n)", FILENAME, "eval")
    body = tree.body
    if not (
        isinstance(body, ast.Call) and isinstance(body.func, ast.Name) and body.func.id == "f" and body.func.end_col_offset == 1
    ):
        raise ArgumentsError("the input must be the text of an argument list")
    return compile(tree, FILENAME, "eval", dont_inherit=True)


def _failure(error: BaseException) -> Reply:
    name = type.__dict__["__name__"].__get__(type(error))
    known = getattr(builtins, name, None) is type(error)
    if isinstance(error, ImportError):
        return Reply("forbidden", reason="import", detail=_message(error))
    if type(error) is PermissionError and error.errno is not None:  # the kernel's, and not one that the program made
        return Reply("forbidden", reason="file", detail=_message(error))
    return Reply("error", reason=name if known else "exception", detail=f"{name}: {_message(error)}"[:200])


def _message(error: BaseException) -> str:
    try:
        return str.__str__(str(error))[:200]
    except BaseException:  # noqa: BLE001 - the program's own __str__
        return ""
