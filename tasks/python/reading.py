"""From hostile source text to a syntax tree of bounded depth.

Owns the one call of Python's parser on model text. Invariant: text that does not parse, is too long, or nests too deep
for a recursive walk, is None; nothing is compiled, and no warning of the parser (invalid escapes) reaches anyone.
"""

import ast
import threading
import warnings

MAX_SOURCE_CHARS = 200_000
MAX_TREE_DEPTH = 100  # of nodes: what walks the tree recursively stays far from the interpreter's limit
_WARNINGS = threading.Lock()  # the filters are of the whole process, and not safe to swap from two threads


def parse_tree(text: str) -> ast.Module | None:
    """The tree of a module's source, or None. Some 3 ms per 1000 characters of dense text."""
    if len(text) > MAX_SOURCE_CHARS:
        return None
    try:
        with _WARNINGS, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    return tree if _is_shallow(tree) else None


def _is_shallow(tree: ast.Module) -> bool:
    level: list[ast.AST] = [tree]
    for _ in range(MAX_TREE_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return True
    return False
