import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import ConfigError
from tasks.arithmetic.family import ArithmeticFamily
from tasks.family import load_family
from tasks.records import Draft, Kind, Malformed, Origin, Pair, Proposal, Task

HELDOUT_HASH = "1e739fc6c3a0bd86"
FAMILY = ArithmeticFamily()


def task(kind: Kind, program: str, *pairs: tuple[str, str]) -> Task:
    return Task(
        task_id="t",
        kind=kind,
        program=program,
        pairs=tuple(Pair(input=given, output=output) for given, output in pairs),
        num_shown=max(1, len(pairs) // 2),
        fingerprint="f",
        origin=Origin.GENERATED,
        step=0,
    )


def proposal(kind: Kind, text: str, program: str = "") -> Proposal:
    return Proposal(proposal_id="p", step=1, kind=kind, text=text, program=program)


def test_public_forms_show_what_is_not_hidden_and_nothing_else() -> None:
    assert FAMILY.solve_prompt(task(Kind.DEDUCTION, "(a - b) * c", ("12, 3, 4", "36"))) == "Calculate: (12 - 3) * 4 = "
    assert FAMILY.solve_prompt(task(Kind.ABDUCTION, "a + b", ("5, 3", "8"))) == "Find: ? + ? = 8\n"
    pairs = [("2, 3", "5"), ("4, 1", "5"), ("7, 2", "9"), ("1, 1", "2")]
    assert FAMILY.solve_prompt(task(Kind.INDUCTION, "a + b", *pairs)) == "Pattern: (2,3)→5, (4,1)→5\n"


def test_heldout_problems_are_the_same_for_every_run() -> None:
    """A changed hash means that all recorded accuracies are of other problems: raise it only on purpose."""
    drafts = FAMILY.heldout()["deduction"]
    text = "\n".join(f"{draft.program}|{draft.inputs[0]}" for draft in drafts)
    assert len(drafts) == 200
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == HELDOUT_HASH


def heldout_pairs() -> set[tuple[str, str]]:
    suites = FAMILY.heldout()
    return {(draft.program, draft.inputs[0]) for name in ("deduction", "deduction_full") for draft in suites[name]}


@pytest.mark.parametrize("kind", list(Kind))
def test_generated_drafts_are_never_heldout_so_that_the_warm_start_cannot_leak(kind: Kind) -> None:
    rng = random.Random(3)
    tasks = {draft.fingerprint for suite in FAMILY.heldout().values() for draft in suite}
    drafts = [*(FAMILY.generate(kind, rng) for _ in range(500)), FAMILY.zero(kind)]
    assert not [draft for draft in drafts if draft.fingerprint in tasks]
    if kind is not Kind.INDUCTION:
        assert not [draft for draft in drafts if (draft.program, draft.inputs[0]) in heldout_pairs()]


def test_most_of_the_journals_problems_stay_free_to_be_proposed() -> None:
    free = [
        (program, f"{left}, {right}")
        for program in ("a + b", "a - b", "a * b")
        for left in range(21)
        for right in range(21)
        if (program, f"{left}, {right}") not in heldout_pairs()
    ]
    assert len(free) == 1323 - 200


def test_a_heldout_problem_is_refused_wherever_its_answer_would_be_trained_on() -> None:
    draft = next(draft for draft in FAMILY.heldout()["deduction"] if all(int(part) >= 2 for part in draft.inputs[0].split(",")))
    left, right = draft.inputs[0].split(", ")
    expression = draft.program.replace("a", left).replace("b", right)
    for kind in (Kind.DEDUCTION, Kind.ABDUCTION):
        assert FAMILY.parse_proposal(proposal(kind, expression)) == Malformed("heldout", well_formed=True)
    pattern = FAMILY.heldout()["induction"][0]
    text = " ".join(f"({given.replace(', ', ',')})" for given in pattern.inputs)
    assert FAMILY.parse_proposal(proposal(Kind.INDUCTION, text, pattern.program)) == Malformed("heldout", well_formed=True)


@pytest.mark.parametrize(
    ("kind", "text", "reason", "well_formed"),
    [
        (Kind.DEDUCTION, "hello", "syntax", False),
        (Kind.DEDUCTION, "3 + 5 = 8", "syntax", False),
        (Kind.DEDUCTION, "a + 3", "syntax", False),
        (Kind.DEDUCTION, "7", "num_operators", True),
        (Kind.DEDUCTION, "1 + 2 + 3 + 4", "num_operators", True),
        (Kind.DEDUCTION, "100 + 2", "operand_range", True),
        (Kind.ABDUCTION, "1 + 22", "operand_range", True),
        (Kind.INDUCTION, "(1,2) (3,4", "syntax", False),
        (Kind.INDUCTION, "(1,2) (3,4)", "num_pairs", True),
        (Kind.INDUCTION, "(1,2,3) " * 6, "arity", True),
        (Kind.INDUCTION, "(91,92) " * 6, "repeated_input", True),
        (Kind.INDUCTION, "(1,2) (3,4) (5,6) (7,8) (9,10) (11,100)", "operand_range", True),
    ],
)
def test_each_bad_proposal_is_refused_for_its_own_reason(kind: Kind, text: str, reason: str, well_formed: bool) -> None:
    assert FAMILY.parse_proposal(proposal(kind, text, "a + b")) == Malformed(reason, well_formed)


@given(st.sampled_from(list(Kind)), st.text(max_size=120))
def test_no_text_makes_the_parsers_raise(kind: Kind, text: str) -> None:
    parsed = FAMILY.parse_proposal(proposal(kind, text, "a + b"))
    assert isinstance(parsed, Draft | Malformed)
    answer = FAMILY.parse_answer(task(kind, "a + b", ("5, 3", "8"), ("1, 1", "2")), text)
    assert isinstance(answer, str | Malformed)


@given(st.sampled_from(list(Kind)), st.integers(0, 2**32))
def test_a_generated_draft_proposed_in_its_own_words_is_read_back_unchanged(kind: Kind, seed: int) -> None:
    draft = FAMILY.generate(kind, random.Random(seed))
    shown = task(kind, draft.program, *((text, "0") for text in draft.inputs))
    assert FAMILY.parse_proposal(proposal(kind, FAMILY.reference_proposal(shown), draft.program)) == draft


@pytest.mark.parametrize(
    ("text", "read"),
    [("8", "8"), ("  -12 apples", "-12"), ("007", "7"), ("8.5", "8"), ("= 8", None), ("", None), ("9" * 41, None)],
)
def test_deduction_answers_are_read_by_the_journals_rule(text: str, read: str | None) -> None:
    answer = FAMILY.parse_answer(task(Kind.DEDUCTION, "a + b", ("5, 3", "8")), text)
    assert answer == (read if read is not None else Malformed("no_number"))


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("5, 3", "5, 3"),
        ("5,3 because", "5, 3"),
        ("5", Malformed("arity", well_formed=True)),
        ("0, 8", Malformed("operand_range", well_formed=True)),
        ("five", Malformed("no_number")),
    ],
)
def test_abduction_answers_stay_within_the_operands_that_make_the_task_more_than_a_trick(
    text: str, read: str | Malformed
) -> None:
    assert FAMILY.parse_answer(task(Kind.ABDUCTION, "a + b", ("5, 3", "8")), text) == read


@pytest.mark.parametrize(
    ("question", "prompt"),
    [
        ("\n\nQ: What is 98 plus 45?\n\nA:", "Calculate: 98 + 45 = "),
        ("\n\nQ: What is (9 + 8) * 2?\n\nA:", "Calculate: (9 + 8) * 2 = "),
        ("Q: What is 54 times 4?", "Calculate: 54 * 4 = "),
        ("Who wrote Hamlet?", None),
        ("What is 7?", None),
    ],
)
def test_questions_in_words_are_asked_in_the_public_form(question: str, prompt: str | None) -> None:
    assert FAMILY.public_form(question) == prompt


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("arithmetik", {}, "did you mean arithmetic?"),
        ("arithmetic", {"max_operand": 5}, "max_operand must be at least easy_max (20), got 5"),
        ("arithmetic", {"max_oprand": 5}, "unknown option max_oprand; did you mean max_operand?"),
        ("arithmetic", {"max_operand": "many"}, "max_operand must be a whole number, got 'many'"),
        ("arithmetic", {"max_operators": True}, "max_operators must be a whole number, got True"),
        ("arithmetic", {"instructions": 1}, "instructions must be true or false, got 1"),
        ("arithmetic", {"num_pairs": 1}, "num_pairs must be at least 2, got 1"),
    ],
)
def test_a_bad_family_or_option_is_one_line_that_names_it(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_family(name, options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
