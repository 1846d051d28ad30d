"""Programs of the Python family: reads hostile source text into a `Program`, or says why it is none.

A program is the source of a module that defines one function `f` with named parameters. Beside `f` it may hold imports,
a docstring, assignments and, if the limits allow, other functions and classes. Invariant: text is parsed only; nothing is
compiled or run, and no text makes a function here raise. What a program does when it runs is the executor's business.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.python.literals import Arguments
from tasks.python.mentions import ALLOWED_IMPORTS, refusal
from tasks.python.normal import normal_form, strip_comments
from tasks.python.reading import parse_tree
from tasks.python.scopes import binds, own_nodes, parameters
from tasks.python.traits import is_unordered, triviality
from tasks.records import Malformed

__all__ = [
    "ALLOWED_IMPORTS",
    "Limits",
    "Program",
    "fits",
    "is_unordered",
    "read_program",
    "strip_comments",
    "trivial",
]

ENTRY = "f"
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_STATEMENTS = (*_DEFINITIONS, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a program may be: `max_chars` of text; other functions and classes beside `f`, or not."""

    max_chars: int = 10_000
    helpers: bool = True


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program that defines `f`. `normal` is what dedup compares, and is never run.

    `parameters` are the names of f's parameters in order: the first `num_positional_only` cannot be passed by name, those
    from `num_positional` on only so. `required` have no default.
    """

    text: str
    normal: str
    parameters: tuple[str, ...]
    num_positional: int
    num_positional_only: int
    required: frozenset[str]


def read_program(text: str, limits: Limits = DEFAULT_LIMITS) -> Program | Malformed:
    """Reads a proposal's program.

    Reasons: too_long, syntax, top_level_statement, no_function, several_functions, generator, arguments (f takes none, or
    *args or **kwargs), import, private_name, forbidden_name. All but syntax are well formed.
    """
    if len(text) > limits.max_chars:
        return Malformed("too_long", well_formed=True)
    tree = parse_tree(text)
    if tree is None:
        return Malformed("syntax")
    function = _entry(tree, limits)
    if isinstance(function, str):
        return Malformed(function, well_formed=True)
    reason = refusal(tree)
    return Malformed(reason, well_formed=True) if reason else _program(text, function)


def trivial(program: Program) -> str | None:
    """Why every input gives the same: "no_return", "constant_output" or "unused_input"; None where that is not sure."""
    tree = parse_tree(program.text)
    function = _entry(tree, DEFAULT_LIMITS) if tree else "syntax"
    assert isinstance(function, ast.FunctionDef), f"a Program defines f: {function}"
    return triviality(function)


def fits(program: Program, arguments: Arguments) -> bool:
    """Whether a call of `f` with these arguments binds."""
    if len(arguments.positional) > program.num_positional:
        return False
    passed = set(program.parameters[: len(arguments.positional)])
    named = [name for name, _ in arguments.keywords]
    by_name = set(program.parameters[program.num_positional_only :]) - passed
    return len(set(named)) == len(named) and by_name.issuperset(named) and program.required <= passed.union(named)


def _entry(tree: ast.Module, limits: Limits) -> ast.FunctionDef | str:
    """The function `f`, or the reason why there is none to call."""
    if not all(isinstance(statement, _STATEMENTS) or _is_string(statement) for statement in tree.body):
        return "top_level_statement"
    entries = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == ENTRY]
    if not entries:
        return "no_function"
    others = [node for node in tree.body if isinstance(node, _DEFINITIONS)]
    if list(_bindings(tree)).count(ENTRY) > 1 or (len(others) > 1 and not limits.helpers):
        return "several_functions"
    function = entries[0]
    if isinstance(function, ast.AsyncFunctionDef) or _yields(function):
        return "generator"
    takes_any = function.args.vararg or function.args.kwarg
    return "arguments" if takes_any or not parameters(function) else function


def _is_string(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str)
    )


def _bindings(tree: ast.Module) -> Iterator[str]:
    """Names that the module binds, once for each time."""
    for statement in tree.body:
        if isinstance(statement, _DEFINITIONS):
            yield statement.name
        else:
            yield from (name for node in ast.walk(statement) if (name := binds(node)))


def _yields(function: ast.FunctionDef) -> bool:
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in own_nodes(function))


def _program(text: str, function: ast.FunctionDef) -> Program:
    given = function.args
    positional = [parameter.arg for parameter in (*given.posonlyargs, *given.args)]
    named = [parameter.arg for parameter in given.kwonlyargs]
    required = positional[: len(positional) - len(given.defaults)]
    required += [name for name, default in zip(named, given.kw_defaults, strict=True) if default is None]
    return Program(
        text=text,
        normal=normal_form(text),
        parameters=(*positional, *named),
        num_positional=len(positional),
        num_positional_only=len(given.posonlyargs),
        required=frozenset(required),
    )
