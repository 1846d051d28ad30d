"""What the text of a program tells about its runs: whether it is trivial, whether its order may be by hash.

Owns two estimates. Invariant: `triviality` names only programs that are trivial for sure; `is_unordered` misses no program
that writes a set, a call of `hash` or `id`, or an operation on views of a dict, and may name others.
"""

import ast
from collections.abc import Sequence

from tasks.python.reading import parse_tree
from tasks.python.scopes import own_nodes, parameters

_UNORDERED_NAMES = frozenset({"set", "frozenset", "hash", "id", "object", "vars", "dir", "globals", "locals"})
_UNORDERED_METHODS = frozenset(
    {
        *("difference", "difference_update", "intersection", "intersection_update", "isdisjoint", "symmetric_difference"),
        *("symmetric_difference_update", "union", "Set", "MutableSet", "FrozenSet", "AbstractSet", "__hash__"),
    }
)
_VIEWS = frozenset({"keys", "items"})
_BIT_OPERATORS = (ast.BitAnd, ast.BitOr, ast.BitXor)


def triviality(function: ast.FunctionDef) -> str | None:
    """The reason why every input gives the same: "no_return", "constant_output" or "unused_input"; else None."""
    returns = [node for node in own_nodes(function) if isinstance(node, ast.Return)]
    if all(node.value is None or _is_none(node.value) for node in returns):
        return "no_return"
    values = {_constant(node.value) for node in returns}
    if len(values) == 1 and None not in values and not _falls_through(function.body):
        return "constant_output"
    names = {parameter.arg for parameter in parameters(function)}
    return None if names & _names_read(function) else "unused_input"


def is_unordered(text: str) -> bool:
    """Whether the order or value of a result may depend on the hash seed or on addresses; True for what does not parse.

    For an input, ask of `f"f({arguments})"`.
    """
    tree = parse_tree(text)
    if tree is None:
        return True
    nodes = list(ast.walk(tree))
    has_views = any(isinstance(node, ast.Attribute) and node.attr in _VIEWS for node in nodes)
    return any(map(_is_unordered, nodes)) or (has_views and any(map(_combines, nodes)))


def _is_unordered(node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return node.id in _UNORDERED_NAMES
    if isinstance(node, ast.Attribute):
        return node.attr in _UNORDERED_METHODS
    if isinstance(node, ast.alias):
        return node.name in _UNORDERED_METHODS
    return isinstance(node, ast.Set | ast.SetComp | ast.ClassDef)  # the repr of an instance may hold an address


def _combines(node: ast.AST) -> bool:
    """`left & right` and the like, and differences of which neither side is a constant: either side may be a view."""
    if not isinstance(node, ast.BinOp | ast.AugAssign):
        return False
    if isinstance(node.op, _BIT_OPERATORS):
        return True
    sides = [node.left, node.right] if isinstance(node, ast.BinOp) else [node.target, node.value]
    return isinstance(node.op, ast.Sub) and not any(isinstance(side, ast.Constant) for side in sides)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _constant(node: ast.expr | None) -> str | None:
    """A text that equal literals share; None for what is computed."""
    if node is None:
        return "None"
    literal = (ast.Constant, ast.Tuple, ast.List, ast.Set, ast.Dict, ast.UnaryOp, ast.expr_context, ast.unaryop)
    if not all(isinstance(part, literal) for part in ast.walk(node)):
        return None
    try:
        return ast.dump(node)
    except ValueError:  # an integer of more than 4300 digits
        return None


def _falls_through(body: Sequence[ast.stmt]) -> bool:
    """Whether the end of `body` may be reached, which returns None."""
    last = body[-1]
    if isinstance(last, ast.If) and last.orelse:
        return _falls_through(last.body) or _falls_through(last.orelse)
    return not isinstance(last, ast.Return | ast.Raise)


def _names_read(function: ast.FunctionDef) -> set[str]:
    """`x += 1` reads x too."""
    nodes = [node for statement in function.body for node in ast.walk(statement)]
    read = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return read | {node.target.id for node in nodes if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name)}
