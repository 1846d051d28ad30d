"""Rows of operands as text: `(2,3) (4,1)` as prompts and proposals have them, `2, 3` as programs take them.

Owns both notations and the rules for the inputs of an induction proposal. It knows no programs, only how many operands
one takes.
"""

import re

from tasks.arithmetic.expression import format_operands
from tasks.arithmetic.options import ArithmeticOptions
from tasks.records import Malformed

_ROWS = re.compile(r"(?:\(\d{1,40}(?:,\d{1,40})*\)\s*)+")


def show_row(text: str) -> str:
    """`2, 3` as `(2,3)`."""
    return f"({text.replace(', ', ',')})"


def read_rows(text: str, arity: int, options: ArithmeticOptions) -> tuple[str, ...] | Malformed:
    """The inputs that a proposer wrote for a program of `arity` operands; or why they are refused."""
    text = text.strip()
    if not _ROWS.fullmatch(text):
        return Malformed("syntax")
    rows = [[int(part) for part in row.split(",")] for row in re.findall(r"\(([^)]*)\)", text)]
    if any(len(row) != arity for row in rows):
        return Malformed("arity", well_formed=True)
    if len(rows) != options.num_pairs:
        return Malformed("num_pairs", well_formed=True)
    if not all(operand <= options.max_operand for row in rows for operand in row):
        return Malformed("operand_range", well_formed=True)
    inputs = tuple(format_operands(row) for row in rows)
    return Malformed("repeated_input", well_formed=True) if len(set(inputs)) < len(inputs) else inputs
