"""What the mixed family says in words, for pre-trained models, before its short forms (`instructions: true`)."""

from tasks.mixed.options import MixedOptions
from tasks.records import Kind, Role

_WRITE = (
    "Write one new problem, different from those listed: an arithmetic expression (+ - * and parentheses, at most "
    "{o.max_operators} operators), or a phrase such as Count 3 in 3 1 3 5, Largest of 7 12 or Smallest of 7 12 9 (2 to "
    "{o.max_items} numbers). "
)
_WORDS = {
    (Role.PROPOSE, Kind.DEDUCTION): _WRITE
    + "Integers from 0 to {o.max_operand}. Make it challenging. Reply with the problem only.",
    (Role.PROPOSE, Kind.ABDUCTION): _WRITE
    + "Integers from {o.abduction_min} to {o.max_operand}. Its integers will be hidden (of a Count phrase, those of the list), "
    "its result shown. Reply with the problem only.",
    (
        Role.PROPOSE,
        Kind.INDUCTION,
    ): "For the rule below, write {o.num_pairs} different inputs as tuples such as (2,3), separated "
    "by spaces, integers from 0 to {o.max_operand}; someone will have to guess the rule from them. Reply with the tuples only.",
    (Role.SOLVE, Kind.DEDUCTION): "Reply with the result only, an integer.",
    (Role.SOLVE, Kind.ABDUCTION): "Replace each ? by an integer from {o.abduction_min} to {o.max_operand} so that the equation "
    "holds. Reply with the integers only, separated by commas.",
    (Role.SOLVE, Kind.INDUCTION): "Find the rule over a, b, c… (in the order of each tuple) that gives every result: + - *, or "
    "one of max(a, b), min(a, b), count(3, a, b), which is how many of a, b are 3. Reply with the rule only.",
}


def instruction(role: Role, kind: Kind, options: MixedOptions) -> str:
    """One line, or nothing."""
    return _WORDS[role, kind].format(o=options) + "\n" if options.instructions else ""
