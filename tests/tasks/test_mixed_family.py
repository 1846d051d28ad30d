import hashlib
import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import ConfigError
from tasks.arithmetic.family import ArithmeticFamily
from tasks.family import load_family
from tasks.mixed.family import MixedFamily
from tasks.mixed.programs import Sort, sort_of
from tasks.records import Draft, Kind, Malformed, Origin, Pair, Proposal, Task

FAMILY = MixedFamily()
HELDOUT_HASH = "7a4b562d3ede6e76"
DATASET_HASHES = {"mixed": "00919e2eada29b16", "mixed-small": "c42fe112d5815baa"}
SHARES = {Sort.ARITHMETIC: 0.5, Sort.COUNTING: 0.25, Sort.COMPARISON: 0.25}


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


def content(drafts: Sequence[Draft]) -> str:
    text = "\n".join(f"{draft.kind}|{draft.program}|{draft.inputs[0]}" for draft in drafts)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def sorts(drafts: Sequence[Draft]) -> Counter[str]:
    return Counter(FAMILY.features(draft)["sort"] for draft in drafts)


@pytest.mark.parametrize(
    ("shown", "prompt"),
    [
        (task(Kind.DEDUCTION, "a * b", ("12, 7", "84")), "Calculate: 12 * 7 = "),
        (task(Kind.DEDUCTION, "count(3, a, b, c, d)", ("3, 1, 3, 5", "2")), "Count 3 in 3 1 3 5 = "),
        (task(Kind.DEDUCTION, "max(a, b)", ("7, 12", "12")), "Largest of 7 12 = "),
        (task(Kind.ABDUCTION, "a + b", ("5, 3", "8")), "Find: ? + ? = 8\n"),
        (task(Kind.ABDUCTION, "count(3, a, b)", ("3, 5", "1")), "Find: Count 3 in ? ? = 1\n"),
        (task(Kind.ABDUCTION, "min(a, b, c)", ("7, 5, 9", "5")), "Find: Smallest of ? ? ? = 5\n"),
        (task(Kind.INDUCTION, "max(a, b)", ("2, 3", "3"), ("4, 1", "4")), "Pattern: (2,3)→3\n"),
    ],
)
def test_public_forms_show_what_is_not_hidden_and_nothing_else(shown: Task, prompt: str) -> None:
    assert FAMILY.solve_prompt(shown) == prompt


def test_a_proposer_is_shown_problems_as_it_should_write_them() -> None:
    references = [task(Kind.DEDUCTION, "a * b", ("12, 7", "84")), task(Kind.DEDUCTION, "count(3, a, b)", ("3, 1", "1"))]
    assert FAMILY.propose_prompt(Kind.DEDUCTION, references, "") == "Propose calculate: 12 * 7; Count 3 in 3 1\n"
    assert FAMILY.propose_prompt(Kind.ABDUCTION, references, "") == "Propose find: 12 * 7; Count 3 in 3 1\n"
    assert FAMILY.propose_prompt(Kind.INDUCTION, [], "max(a, b)") == "Propose pattern: max(a, b)\n"


@pytest.mark.parametrize("kind", list(Kind))
def test_instructions_come_before_the_same_short_form(kind: Kind) -> None:
    wordy = MixedFamily(instructions=True)
    shown = task(kind, "max(a, b)", ("2, 3", "3"), ("4, 1", "4"))
    for long, short in (
        (wordy.solve_prompt(shown), FAMILY.solve_prompt(shown)),
        (wordy.propose_prompt(kind, [shown], "max(a, b)"), FAMILY.propose_prompt(kind, [shown], "max(a, b)")),
    ):
        words = long.removesuffix(short)
        assert words.count("\n") == 1
        assert "{" not in words


def test_heldout_problems_of_deduction_are_the_same_for_every_run_and_all_options() -> None:
    """A changed hash means that all recorded accuracies are of other problems: change it only on purpose."""
    drafts = FAMILY.heldout()["deduction"]
    assert content(drafts) == HELDOUT_HASH
    assert MixedFamily(max_operand=500, max_items=8, counting_share=0.0).heldout()["deduction"] == drafts


def test_arithmetic_half_of_the_deduction_suite_is_the_journals_problems() -> None:
    arithmetic = [draft for draft in FAMILY.heldout()["deduction"] if sort_of(draft.program) is Sort.ARITHMETIC]
    assert arithmetic == list(ArithmeticFamily().heldout()["deduction"])


@pytest.mark.parametrize("name", list(Kind))
def test_every_suite_is_half_arithmetic_and_a_quarter_of_each_sort_of_list(name: str) -> None:
    drafts = FAMILY.heldout()[name]
    assert len({draft.fingerprint for draft in drafts}) == len(drafts)
    assert all(draft.kind == name for draft in drafts)
    assert {sort: count / len(drafts) for sort, count in sorts(drafts).items()} == SHARES


@pytest.mark.parametrize(("name", "max_operand"), [("mixed", 20), ("mixed-small", 10)])
def test_a_training_set_is_the_same_for_every_run_and_mixed_as_its_name_says(name: str, max_operand: int) -> None:
    """A changed hash means that figures of earlier runs are of another set: change it only on purpose."""
    drafts = FAMILY.datasets()[name]
    assert len({draft.fingerprint for draft in drafts}) == len(drafts) == 500
    assert max(int(part) for draft in drafts for part in draft.inputs[0].split(", ")) == max_operand
    assert {sort: count / len(drafts) for sort, count in sorts(drafts).items()} == SHARES
    assert content(drafts) == DATASET_HASHES[name]
    assert FAMILY.datasets().keys() == DATASET_HASHES.keys()


def test_training_sets_do_not_depend_on_the_options() -> None:
    assert MixedFamily(max_operand=500, max_items=8, easy_share=0.3).datasets() == FAMILY.datasets()


def heldout_pairs(family: MixedFamily) -> set[tuple[str, str]]:
    return {(draft.program, draft.inputs[0]) for draft in family.heldout()["deduction"]}


def test_no_training_problem_is_held_out() -> None:
    trained = {(draft.program, draft.inputs[0]) for drafts in FAMILY.datasets().values() for draft in drafts}
    assert not trained & heldout_pairs(FAMILY)


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(Kind))
def test_generated_drafts_are_never_heldout_and_mixed_by_their_shares(kind: Kind) -> None:
    rng = random.Random(3)
    family = MixedFamily(easy_share=0.95)  # the held-out problems' own range
    tasks = {draft.fingerprint for suite in family.heldout().values() for draft in suite}
    drafts = [family.generate(kind, rng) for _ in range(2000)]
    assert not [draft for draft in [*drafts, family.zero(kind)] if draft.fingerprint in tasks]
    if kind is not Kind.INDUCTION:
        assert not {(draft.program, draft.inputs[0]) for draft in drafts} & heldout_pairs(family)
    for sort, count in sorts(drafts).items():
        assert count / len(drafts) == pytest.approx(SHARES[Sort(sort)], abs=0.05)


@pytest.mark.parametrize("sort", [Sort.COUNTING, Sort.COMPARISON])
def test_a_heldout_list_is_refused_wherever_its_answer_would_be_trained_on(sort: Sort) -> None:
    suites = FAMILY.heldout()
    draft = next(
        draft
        for draft in suites["deduction"]
        if sort_of(draft.program) is sort and all(int(part) >= 2 for part in draft.inputs[0].split(", "))
    )
    text = FAMILY.reference_proposal(task(Kind.DEDUCTION, draft.program, (draft.inputs[0], "0")))
    for kind in (Kind.DEDUCTION, Kind.ABDUCTION):
        assert FAMILY.parse_proposal(proposal(kind, text)) == Malformed("heldout", well_formed=True)
    pattern = next(draft for draft in suites["induction"] if sort_of(draft.program) is sort)
    rows = FAMILY.reference_proposal(task(Kind.INDUCTION, pattern.program, *((text, "0") for text in pattern.inputs)))
    assert FAMILY.parse_proposal(proposal(Kind.INDUCTION, rows, pattern.program)) == Malformed("heldout", well_formed=True)


@pytest.mark.parametrize(
    ("kind", "text", "reason", "well_formed"),
    [
        (Kind.DEDUCTION, "hello", "syntax", False),
        (Kind.DEDUCTION, "Count 3 in", "syntax", False),
        (Kind.DEDUCTION, "Largest of a b", "syntax", False),
        (Kind.DEDUCTION, "Largest of 7 12 = 12", "syntax", False),
        (Kind.DEDUCTION, "1 + 2 + 3 + 4", "num_operators", True),
        (Kind.DEDUCTION, "Largest of 7", "num_items", True),
        (Kind.DEDUCTION, "Largest of 1 2 3 4 5 6 7", "num_items", True),
        (Kind.DEDUCTION, "Largest of 7 100", "operand_range", True),
        (Kind.DEDUCTION, "Count 100 in 7 8", "operand_range", True),
        (Kind.ABDUCTION, "Smallest of 1 22", "operand_range", True),
        (Kind.INDUCTION, "(1,2) (3,4", "syntax", False),
        (Kind.INDUCTION, "(1,2) (3,4)", "num_pairs", True),
        (Kind.INDUCTION, "(1,2,3) " * 6, "arity", True),
        (Kind.INDUCTION, "(91,92) " * 6, "repeated_input", True),
        (Kind.INDUCTION, "(1,2) (3,4) (5,6) (7,8) (9,10) (11,100)", "operand_range", True),
    ],
)
def test_each_bad_proposal_is_refused_for_its_own_reason(kind: Kind, text: str, reason: str, well_formed: bool) -> None:
    assert FAMILY.parse_proposal(proposal(kind, text, "count(3, a, b)")) == Malformed(reason, well_formed)


LIST_ALPHABET = st.text(alphabet="CountLargestSmallest inof0123456789(), ", max_size=60)
PROGRAMS = ["a + b", "count(3, a, b)", "max(a, b)"]


@given(st.sampled_from(list(Kind)), st.sampled_from(PROGRAMS), st.text(max_size=80) | LIST_ALPHABET)
def test_no_text_makes_the_parsers_raise(kind: Kind, program: str, text: str) -> None:
    assert isinstance(FAMILY.parse_proposal(proposal(kind, text, program)), Draft | Malformed)
    assert isinstance(FAMILY.parse_answer(task(kind, program, ("5, 3", "8"), ("1, 1", "2")), text), str | Malformed)


@given(st.sampled_from(list(Kind)), st.integers(0, 2**32))
def test_a_generated_draft_proposed_in_its_own_words_is_read_back_unchanged(kind: Kind, seed: int) -> None:
    draft = FAMILY.generate(kind, random.Random(seed))
    shown = task(kind, draft.program, *((text, "0") for text in draft.inputs))
    assert FAMILY.parse_proposal(proposal(kind, FAMILY.reference_proposal(shown), draft.program)) == draft


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("count(3,a, b)", "count(3, a, b)"),
        ("a+b", "a + b"),
        ("max(a, c)", Malformed("unknown_variable", well_formed=True)),
        ("a + c", Malformed("unknown_variable", well_formed=True)),
        ("max(a", Malformed("syntax")),
        ("the largest", Malformed("syntax")),
    ],
)
def test_induction_answers_are_programs_of_either_sort(text: str, read: str | Malformed) -> None:
    assert FAMILY.parse_answer(task(Kind.INDUCTION, "max(a, b)", ("2, 3", "3"), ("4, 1", "4")), text) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("3, 3, 5", "3, 3, 5"),
        ("3, 3", Malformed("arity", well_formed=True)),
        ("1, 3, 3", Malformed("operand_range", well_formed=True)),
        ("three", Malformed("no_number")),
    ],
)
def test_abduction_answers_for_lists_follow_the_rules_of_arithmetic(text: str, read: str | Malformed) -> None:
    assert FAMILY.parse_answer(task(Kind.ABDUCTION, "count(3, a, b, c)", ("3, 3, 4", "2")), text) == read


@pytest.mark.parametrize(
    ("program", "given_input", "sort", "rule"),
    [
        ("a + b * c", "1, 2, 3", "arithmetic", "plus_times"),
        ("count(3, a, b)", "3, 5", "counting", "count_2"),
        ("max(a, b, c)", "3, 5, 4", "comparison", "max_3"),
    ],
)
def test_tasks_are_told_apart_by_sort_and_for_diversity_by_rule(program: str, given_input: str, sort: str, rule: str) -> None:
    draft = Draft(kind=Kind.DEDUCTION, program=program, inputs=(given_input,))
    assert FAMILY.features(draft) == {"sort": sort}
    assert FAMILY.traits(draft) == {"sort": sort, "rule": rule}


def test_every_short_form_is_written_in_the_alphabet() -> None:
    rng = random.Random(1)
    for kind in Kind:
        for _ in range(200):
            draft = FAMILY.generate(kind, rng)
            shown = task(kind, draft.program, *((text, "-7") for text in draft.inputs))
            texts = [FAMILY.solve_prompt(shown), FAMILY.reference_answer(shown), FAMILY.reference_proposal(shown)]
            texts.append(FAMILY.propose_prompt(kind, [shown], draft.program))
            assert not set("".join(texts)) - set(FAMILY.alphabet)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_itmes": 5}, "unknown option max_itmes; did you mean max_items?"),
        ({"max_items": 9}, "max_items must be from 3 to 8, got 9"),
        ({"counting_share": 0.7, "comparison_share": 0.4}, "comparison_share must be from 0 to 0.3, got 0.4"),
        ({"max_operand": 5}, "max_operand must be at least easy_max (20), got 5"),
        ({"num_pairs": 60}, "num_pairs must be at most 50 with this easy_max, got 60"),
    ],
)
def test_a_bad_option_is_one_line_that_names_it(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_family("mixed", options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_shares_may_leave_no_arithmetic() -> None:
    family = MixedFamily(counting_share=0.9, comparison_share=0.1)
    drafts = [family.generate(Kind.DEDUCTION, random.Random(seed)) for seed in range(200)]
    assert not [draft for draft in drafts if sort_of(draft.program) is Sort.ARITHMETIC]
