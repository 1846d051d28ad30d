import hashlib
from collections.abc import Sequence

import pytest

from tasks.arithmetic.family import ArithmeticFamily
from tasks.records import Draft, Kind

FAMILY = ArithmeticFamily()
PINNED = {
    "arithmetic-100": (100, 20, "62d5c8cfa9f05db8"),
    "arithmetic-500": (500, 20, "f8f8d405573390d0"),
    "arithmetic-small": (100, 10, "962b76796a3f0b59"),
}


def content(drafts: Sequence[Draft]) -> str:
    text = "\n".join(f"{draft.kind}|{draft.program}|{draft.inputs[0]}" for draft in drafts)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", PINNED)
def test_a_training_set_is_the_same_for_every_run(name: str) -> None:
    """A changed hash means that figures of earlier runs are of another set: change it only on purpose."""
    count, max_operand, pinned = PINNED[name]
    drafts = FAMILY.datasets()[name]
    assert len({draft.fingerprint for draft in drafts}) == len(drafts) == count
    assert all(draft.kind is Kind.DEDUCTION and draft.program in ("a + b", "a - b", "a * b") for draft in drafts)
    assert max(int(part) for draft in drafts for part in draft.inputs[0].split(", ")) == max_operand
    assert content(drafts) == pinned


def test_all_named_training_sets_are_pinned() -> None:
    assert FAMILY.datasets().keys() == PINNED.keys()


def test_training_sets_do_not_depend_on_the_options() -> None:
    assert ArithmeticFamily(max_operand=999, easy_share=0.1, num_pairs=3).datasets() == FAMILY.datasets()


def test_no_training_problem_is_held_out() -> None:
    suites = FAMILY.heldout()
    held = {(draft.program, draft.inputs[0]) for name in ("deduction", "deduction_full") for draft in suites[name]}
    assert not held & {(draft.program, draft.inputs[0]) for drafts in FAMILY.datasets().values() for draft in drafts}


def test_the_smaller_set_is_part_of_the_larger_so_that_only_the_size_differs() -> None:
    sets = FAMILY.datasets()
    assert tuple(sets["arithmetic-500"][:100]) == sets["arithmetic-100"]
