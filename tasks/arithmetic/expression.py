"""Integer expressions as text: reading, normal form, and the split into a program over variables and its operands.

`(12 - 3) * 4` is the program `(a - b) * c` with the input `12, 3, 4`. Only `+ - *`, parentheses, non-negative integer
literals and single-letter variables exist here. Text is data: it is parsed to a tree that is checked node by node, never
run; computing values is the verifier's.
"""

import ast
import re
from dataclasses import dataclass

MAX_CHARS = 256  # far above any task; bounds the parser's work on hostile text
VARIABLES = "abcdefgh"
_ALLOWED = re.compile(r"[0-9a-h+\-*() ]+")
_SYMBOL: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*"}
_STRENGTH = {"+": 1, "-": 1, "*": 2}


@dataclass(frozen=True, slots=True)
class Leaf:
    text: str  # digits, or one letter

    @property
    def is_number(self) -> bool:
        return self.text.isdigit()


@dataclass(frozen=True, slots=True)
class Operation:
    symbol: str  # one of + - *
    left: "Expression"
    right: "Expression"


Expression = Leaf | Operation


def parse(text: str) -> Expression | None:
    """The tree of an expression, or None when the text is not one."""
    text = text.strip()
    if len(text) > MAX_CHARS or not _ALLOWED.fullmatch(text):
        return None
    try:
        return _convert(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # all that CPython's parser raises on hostile text
        return None


def _convert(node: ast.expr) -> Expression | None:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return Leaf(str(node.value))
    if isinstance(node, ast.Name) and node.id in VARIABLES and len(node.id) == 1:
        return Leaf(node.id)
    if isinstance(node, ast.BinOp) and type(node.op) in _SYMBOL:
        left, right = _convert(node.left), _convert(node.right)
        if left is not None and right is not None:
            return Operation(_SYMBOL[type(node.op)], left, right)
    return None


def render(tree: Expression, parent: int = 0, right_side: bool = False) -> str:
    """The normal form: single spaces, and only the parentheses that the tree needs."""
    if isinstance(tree, Leaf):
        return tree.text
    strength = _STRENGTH[tree.symbol]
    text = f"{render(tree.left, strength)} {tree.symbol} {render(tree.right, strength, right_side=True)}"
    return f"({text})" if strength < parent or (strength == parent and right_side) else text


def leaves(tree: Expression) -> list[Leaf]:
    """From left to right."""
    return [tree] if isinstance(tree, Leaf) else leaves(tree.left) + leaves(tree.right)


def symbols(tree: Expression) -> list[str]:
    """The operators, from left to right."""
    return [] if isinstance(tree, Leaf) else [*symbols(tree.left), tree.symbol, *symbols(tree.right)]


def replace_leaves(tree: Expression, texts: list[str]) -> Expression:
    """The same shape with other leaves, from left to right; `texts` has one for each."""
    rest = iter(texts)

    def walk(node: Expression) -> Expression:
        return Leaf(next(rest)) if isinstance(node, Leaf) else Operation(node.symbol, walk(node.left), walk(node.right))

    return walk(tree)


def split(tree: Expression) -> tuple[str, list[int]]:
    """Program over a, b, c… and the operands, of an expression whose leaves are all numbers."""
    operands = [int(leaf.text) for leaf in leaves(tree)]
    return render(replace_leaves(tree, list(VARIABLES[: len(operands)]))), operands


def fill(program: str, texts: list[str]) -> str:
    """The program with its variables replaced, in order of first appearance from left to right, by `texts`."""
    tree = parse(program)
    assert tree is not None, f"a program in the buffers must parse: {program}"
    return render(replace_leaves(tree, texts))


def unordered(tree: Expression) -> str:
    """The same text for expressions that differ only in the order of the operands of + and *."""
    if isinstance(tree, Leaf):
        return tree.text
    sides = [unordered(tree.left), unordered(tree.right)] if tree.symbol == "-" else sorted(_operands(tree, tree.symbol))
    return f"({f' {tree.symbol} '.join(sides)})"


def _operands(tree: Expression, symbol: str) -> list[str]:
    """Of a whole chain of this operator."""
    if isinstance(tree, Leaf) or tree.symbol != symbol:
        return [unordered(tree)]
    return _operands(tree.left, symbol) + _operands(tree.right, symbol)


def format_operands(operands: list[int]) -> str:
    return ", ".join(map(str, operands))
