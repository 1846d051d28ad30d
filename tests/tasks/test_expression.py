import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.arithmetic.expression import VARIABLES, Leaf, Operation, fill, leaves, parse, render, split, symbols, unordered

numbers = st.integers(0, 10**6).map(lambda value: Leaf(str(value)))
trees = st.recursive(
    numbers, lambda inner: st.builds(Operation, st.sampled_from("+-*"), inner, inner), max_leaves=len(VARIABLES)
)


def value(text: str) -> int:
    """An independent reading by Python itself; only for text that the test made."""
    node = ast.parse(text, mode="eval")
    assert all(isinstance(part, ast.Expression | ast.BinOp | ast.Constant | ast.operator) for part in ast.walk(node))
    result = eval(compile(node, "<test>", "eval"))
    assert isinstance(result, int)
    return result


@given(trees)
def test_rendering_keeps_the_tree_so_that_a_program_means_the_same_after_a_round_trip(tree: Leaf | Operation) -> None:
    again = parse(render(tree))
    assert again is not None
    assert render(again) == render(tree)
    assert value(render(tree)) == value(fully_parenthesised(tree))


def fully_parenthesised(tree: Leaf | Operation) -> str:
    if isinstance(tree, Leaf):
        return tree.text
    return f"({fully_parenthesised(tree.left)}{tree.symbol}{fully_parenthesised(tree.right)})"


@given(trees)
def test_split_and_fill_are_inverse_so_that_a_task_shows_the_proposed_expression(tree: Leaf | Operation) -> None:
    program, operands = split(tree)
    assert fill(program, [str(operand) for operand in operands]) == render(tree)
    assert len(operands) == len(leaves(tree)) == len(symbols(tree)) + 1


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused_but_never_raises(text: str) -> None:
    tree = parse(text)
    assert tree is None or render(tree)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 +",
        "(" * 250,
        "1" * 300,
        "__import__('os')",
        "a.b",
        "1_0 + 2",
        "007 + 1",
        "f(1)",
        "1 ** 2",
        "1 // 2",
        "ab + 1",
        "1 + z",
    ],
)
def test_what_is_not_an_expression_is_refused(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    ("text", "normal"),
    [("(1+2)", "1 + 2"), ("1-(2-3)", "1 - (2 - 3)"), ("(1-2)-3", "1 - 2 - 3"), ("(2)*(3+4)", "2 * (3 + 4)")],
)
def test_normal_form_has_only_the_parentheses_that_are_needed(text: str, normal: str) -> None:
    tree = parse(text)
    assert tree is not None
    assert render(tree) == normal


@pytest.mark.parametrize(
    ("left", "right", "alike"),
    [
        ("5 + 3", "3 + 5", True),
        ("2 + 5 + 3", "3 + 2 + 5", True),
        ("4 * (5 + 3)", "(3 + 5) * 4", True),
        ("5 - 3", "3 - 5", False),
        ("5 + 3 * 2", "3 + 5 * 2", False),
        ("(5 - 3) - 2", "5 - (3 - 2)", False),
    ],
)
def test_expressions_are_alike_when_only_the_order_of_sums_and_products_differs(left: str, right: str, alike: bool) -> None:
    trees = parse(left), parse(right)
    assert trees[0] is not None
    assert trees[1] is not None
    assert (unordered(trees[0]) == unordered(trees[1])) == alike
