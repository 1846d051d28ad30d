"""Random arithmetic drafts: for the seeding fallback, the warm start, control arms and the held-out suites.

Everything is drawn from the `random.Random` that is handed in; nothing here computes a result.
"""

import random
from collections.abc import Callable

from tasks.arithmetic.expression import VARIABLES, Expression, Leaf, Operation, format_operands, render
from tasks.arithmetic.options import ArithmeticOptions
from tasks.records import Draft, Kind

SYMBOLS = "+-*"
HELDOUT_SEED = 20_250_505  # never a run's seed: the held-out problems are the same for all runs
JOURNAL_MAX = 20
JOURNAL_COUNT = 200
FULL_COUNT = 1000
ABDUCTION_COUNT = 200  # proposers meet these often: more would leave less to propose
INDUCTION_COUNT = 1000  # these hardly ever
MAX_DRAWS = 200  # per draft wanted


def random_draft(kind: Kind, options: ArithmeticOptions, rng: random.Random) -> Draft:
    easy = rng.random() < options.easy_share
    program, arity = _random_program(1 if easy else rng.randint(1, options.max_operators), rng)
    low = options.abduction_min if kind is Kind.ABDUCTION else 0
    high = options.easy_max if easy else options.max_operand
    if kind is not Kind.INDUCTION:
        return Draft(kind=kind, program=program, inputs=(_random_input(arity, low, high, easy, rng),))
    inputs: dict[str, None] = {}
    while len(inputs) < options.num_pairs:
        inputs[_random_input(arity, low, high, easy, rng)] = None
    return Draft(kind=kind, program=program, inputs=tuple(inputs))


def _random_program(num_operators: int, rng: random.Random) -> tuple[str, int]:
    letters = iter(VARIABLES)

    def grow(operators: int) -> Expression:
        if operators == 0:
            return Leaf(next(letters))
        left = rng.randint(0, operators - 1)
        return Operation(rng.choice(SYMBOLS), grow(left), grow(operators - 1 - left))

    return render(grow(num_operators)), num_operators + 1


def _random_input(arity: int, low: int, high: int, easy: bool, rng: random.Random) -> str:
    """Uniform within the easy range; else uniform in the number of digits, so that small numbers stay common."""

    def operand() -> int:
        top = high if easy else min(high, 10 ** rng.randint(1, len(str(high))) - 1)
        return rng.randint(min(low, top), top)

    return format_operands([operand() for _ in range(arity)])


def plain_problems(max_operand: int) -> list[Draft]:
    """All problems `a op b` with operands from 0 to `max_operand`."""
    return [
        Draft(kind=Kind.DEDUCTION, program=f"a {symbol} b", inputs=(format_operands([left, right]),))
        for left in range(max_operand + 1)
        for symbol in SYMBOLS
        for right in range(max_operand + 1)
    ]


def journal_problems() -> list[Draft]:
    """The journals' evaluation: 200 of the 1323 problems `a op b` with operands 0 to 20 and + - *."""
    return random.Random(HELDOUT_SEED).sample(plain_problems(JOURNAL_MAX), JOURNAL_COUNT)


def heldout_suites(options: ArithmeticOptions) -> dict[str, tuple[Draft, ...]]:
    """By suite name. All but the journals' problems depend on the family's bounds.

    `deduction_full` lies outside the journals' 1323 problems: held out from among them, its thousand would leave almost
    none of the easy problems to propose or to warm-start on.
    """
    return {
        "deduction": tuple(journal_problems()),
        "deduction_full": _distinct(Kind.DEDUCTION, FULL_COUNT, options, beyond_journal=True),
        "abduction": _distinct(Kind.ABDUCTION, ABDUCTION_COUNT, options),
        "induction": _distinct(Kind.INDUCTION, INDUCTION_COUNT, options),
    }


def draw_distinct(count: int, draw: Callable[[], Draft], wanted: Callable[[Draft], bool]) -> tuple[Draft, ...]:
    """The first `count` different wanted drafts; fewer where even many draws do not give them."""
    drafts: dict[str, Draft] = {}
    for _ in range(MAX_DRAWS * count):
        draft = draw()
        if wanted(draft):
            drafts.setdefault(draft.fingerprint, draft)
        if len(drafts) == count:
            break
    return tuple(drafts.values())


def _distinct(kind: Kind, count: int, options: ArithmeticOptions, beyond_journal: bool = False) -> tuple[Draft, ...]:
    rng = random.Random(f"{HELDOUT_SEED}-{kind}")
    drafts = draw_distinct(
        count, lambda: random_draft(kind, options, rng), lambda draft: not (beyond_journal and _is_journal_problem(draft))
    )
    if len(drafts) < count:
        raise ValueError(
            f"max_operand and max_operators must leave room for {count} distinct held-out {kind} tasks, got "
            f"{options.max_operand} and {options.max_operators}; raise one of them, or lower easy_share ({options.easy_share})"
        )
    return drafts


def _is_journal_problem(draft: Draft) -> bool:
    operands = [int(part) for part in draft.inputs[0].split(",")]
    return len(operands) == 2 and max(operands) <= JOURNAL_MAX
