"""What a program may mention: an allow-list of modules, and names that it may not use.

Owns the first, static filter. Invariant: a refusal is a reason code; the filter is for clear reasons and cheap refusals,
and is no wall: text can be built at run time, so whatever passes here still runs in the sandbox only.

Reasons: `import` (a module outside the list), `private_name` (`__class__`, `__globals__` and the like, also in strings, for
`format` reads attributes), `forbidden_name` (a builtin that evaluates text, reads the host, or depends on the process).
Operator methods (`__init__`, `__eq__`, …) may be defined and called: classes are allowed, and what they lie about never
leaves the sandbox. `print` is harmless and allowed; `id` and `hash` depend on the process and are not.
"""

import ast
import re
from collections.abc import Iterator

from tasks.python.scopes import free_names

ALLOWED_IMPORTS = frozenset(
    {
        *("__future__", "abc", "array", "bisect", "cmath", "collections", "collections.abc", "copy", "dataclasses"),
        *("decimal", "enum", "fractions", "functools", "heapq", "itertools", "json", "math", "numbers", "operator", "re"),
        *("statistics", "string", "textwrap", "typing", "unicodedata"),
    }
)
# Modules that allowed modules hold as attributes: `enum.sys`, `dataclasses.inspect`, `typing.contextlib`.
LEAKED_MODULES = frozenset(
    {
        *("_sys", "_thread", "bltns", "builtins", "codecs", "contextlib", "copyreg", "importlib", "inspect", "keyword", "os"),
        *("random", "sys", "types", "warnings"),
    }
)
FORBIDDEN_NAMES = frozenset(
    {
        *("breakpoint", "compile", "copyright", "credits", "delattr", "dir", "eval", "exec", "exit", "getattr", "globals"),
        *("hash", "help", "id", "input", "license", "locals", "open", "quit", "setattr", "vars"),
    }
)
_PUBLIC = re.compile(
    r"""__(?:
        init|post_init|slots|name|future|call|enter|exit|copy|deepcopy|repr|str|format|bool|int|float|complex|index|hash
      | round|trunc|floor|ceil|eq|ne|lt|le|gt|ge|neg|pos|abs|invert|len|iter|next|reversed
      | contains|getitem|setitem|delitem|missing
      | [ri]?(?:add|sub|mul|matmul|truediv|floordiv|mod|divmod|pow|lshift|rshift|and|or|xor)
    )__""",
    re.VERBOSE,
)
_DUNDER = re.compile(r"__\w+__", re.ASCII)
_DUNDER_IN_TEXT = re.compile(r"(?<!\w)__[A-Za-z]\w*__(?!\w)", re.ASCII)


def refusal(tree: ast.Module) -> str | None:
    """The reason to refuse the program, or None."""
    for node in ast.walk(tree):
        reason = _refused_import(node)
        if reason is not None:
            return reason
        if isinstance(node, ast.Attribute) and node.attr in LEAKED_MODULES:
            return "import"
        if any(map(_is_private, _identifiers(node))):
            return "private_name"
    return "forbidden_name" if free_names(tree) & FORBIDDEN_NAMES else None


def _refused_import(node: ast.AST) -> str | None:
    if isinstance(node, ast.Import):
        return None if all(alias.name in ALLOWED_IMPORTS for alias in node.names) else "import"
    if not isinstance(node, ast.ImportFrom):
        return None
    names = {alias.name for alias in node.names}
    if node.level or node.module not in ALLOWED_IMPORTS or "*" in names or names & LEAKED_MODULES:
        return "import"
    return "private_name" if any(name.startswith("_") for name in names) else None


def _identifiers(node: ast.AST) -> Iterator[str]:
    """All names that a node holds, and those that its text may reach through `format`."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            yield from _DUNDER_IN_TEXT.findall(node.value)
        return
    for _, value in ast.iter_fields(node):
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from (item for item in value if isinstance(item, str))


def _is_private(name: str) -> bool:
    return bool(_DUNDER.fullmatch(name)) and not _PUBLIC.fullmatch(name)
