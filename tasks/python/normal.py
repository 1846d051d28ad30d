"""The normal form of a program, by which dedup compares; and programs without their comments.

Owns what counts as the same program: comments, docstrings, layout, annotations of parameters and the names of a function's
variables do not matter. Invariant: two programs with one normal form differ in these only; where renaming might change a
meaning (classes, `global`, `nonlocal`, parameters passed by name, names of builtins) names are kept. The form is compared,
never run.
"""

import ast
import builtins
from collections.abc import Iterator

from tasks.python.reading import parse_tree
from tasks.python.scopes import binds, parameters

_BUILTINS = frozenset(dir(builtins))
_HOLDERS = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_UNSAFE = (ast.ClassDef, ast.Global, ast.Nonlocal)


def normal_form(text: str) -> str:
    """The normal form of source that parses; the text itself where it cannot be written back."""
    tree = parse_tree(text)
    assert tree is not None, "the program must parse"
    _drop_docstrings(tree)
    kept = _kept_names(tree)
    for function in tree.body:
        if isinstance(function, ast.FunctionDef):
            _drop_annotations(function)
            _rename(function, kept)
    return _unparsed(tree) or text


def strip_comments(text: str) -> str:
    """The program without comments and docstrings; the text itself where it does not parse or cannot be written back."""
    tree = parse_tree(text)
    if tree is None:
        return text
    _drop_docstrings(tree)
    stripped = _unparsed(tree)
    again = None if stripped is None else parse_tree(stripped)
    if stripped is None or again is None or ast.dump(again) != ast.dump(tree):
        return text
    return stripped


def _unparsed(tree: ast.Module) -> str | None:
    try:
        return ast.unparse(tree)
    except (ValueError, RecursionError):  # an f-string that needs a backslash, an integer of more than 4300 digits
        return None


def _drop_docstrings(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, _HOLDERS):
            while ast.get_docstring(node, clean=False) is not None:  # the next string would become the docstring
                del node.body[0]
            if not node.body and not isinstance(node, ast.Module):
                node.body.append(ast.Pass())


def _drop_annotations(function: ast.FunctionDef) -> None:
    function.returns = None
    for parameter in parameters(function):
        parameter.annotation = None


def _kept_names(tree: ast.Module) -> frozenset[str]:
    """Names that have a meaning outside of the function that binds them."""
    module = {name for statement in tree.body for name in _module_names(statement)}
    passed = {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg}
    imported = {name for node in ast.walk(tree) if isinstance(node, ast.alias) and (name := binds(node))}
    return _BUILTINS | module | passed | imported


def _module_names(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    else:
        yield from (name for node in ast.walk(statement) if (name := binds(node)))


def _rename(function: ast.FunctionDef, kept: frozenset[str]) -> None:
    """One new name for one old name in all of the function, nested scopes included, in order of appearance."""
    nodes = [node for statement in (function.args, *function.body) for node in ast.walk(statement)]
    if any(isinstance(node, _UNSAFE) for node in nodes):
        return
    bound = [name for node in nodes if (name := _bound_name(node)) and name not in kept]
    others = {node.id for node in nodes if isinstance(node, ast.Name)} - set(bound) | kept
    fresh = (f"v{index}" for index in range(len(nodes) + len(others) + 1) if f"v{index}" not in others)
    names = {name: next(fresh) for name in dict.fromkeys(bound)}
    for node in nodes:
        for field in ("id", "arg", "name", "rest"):
            old = getattr(node, field, None)
            if isinstance(old, str) and not isinstance(node, ast.keyword | ast.alias):
                setattr(node, field, names.get(old, old))


def _bound_name(node: ast.AST) -> str | None:
    return node.arg if isinstance(node, ast.arg) else binds(node)
