"""The Python family as the rest of the system sees it."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import ConfigError
from tasks.family import load_family
from tasks.python.family import PythonFamily
from tasks.python.source import ALLOWED_IMPORTS
from tasks.records import Draft, Kind, Malformed, Origin, Pair, Proposal, Task

TALKS = PythonFamily()
BARE = PythonFamily(instructions=False, think=False, printable=True, num_inputs=4, max_prompt_bytes=400)
OPENED = PythonFamily(prefill=True)
FAMILIES = [TALKS, BARE, OPENED]
PROGRAM = "def f(n):\n    return n * 37"


def task(kind: Kind, program: str, message: str, *pairs: tuple[str, str]) -> Task:
    return Task(
        task_id="t",
        kind=kind,
        program=program,
        pairs=tuple(Pair(input=given, output=output) for given, output in pairs),
        num_shown=max(1, len(pairs) // 2),
        fingerprint="f",
        origin=Origin.GENERATED,
        step=0,
        message=message,
    )


def as_task(draft: Draft) -> Task:
    """With outputs that no input looks like."""
    return task(draft.kind, draft.program, draft.message, *((text, "(-1, -1)") for text in draft.inputs))


MULTIPLIES = [("2", "74"), ("3", "111"), ("5", "185"), ("6", "222")]


def test_the_bare_form_is_the_blocks_alone() -> None:
    assert BARE.solve_prompt(task(Kind.DEDUCTION, PROGRAM, "", ("2", "74"))) == (
        "```python\ndef f(n):\n    return n * 37\n```\n```input\n2\n```\n"
    )
    reference = task(Kind.ABDUCTION, PROGRAM, "", ("2", "74"))
    assert BARE.propose_prompt(Kind.ABDUCTION, [reference], "") == (
        "propose abduction\n```python\ndef f(n):\n    return n * 37\n```\n```input\n2\n```\n```output\n74\n```\n"
    )
    assert BARE.reference_answer(reference) == "<answer>\n```input\n2\n```\n</answer>"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_solver_sees_what_is_not_hidden_and_nothing_else(family: PythonFamily) -> None:
    deduction = family.solve_prompt(task(Kind.DEDUCTION, PROGRAM, "", ("2 - 93", "74185")))
    assert PROGRAM in deduction
    assert "2 - 93" in deduction
    assert "74185" not in deduction
    abduction = family.solve_prompt(task(Kind.ABDUCTION, PROGRAM, "", ("2 - 93", "74185")))
    assert "74185" in abduction
    assert "2 - 93" not in abduction
    induction = family.solve_prompt(task(Kind.INDUCTION, PROGRAM, "It grows.", *MULTIPLIES))
    assert PROGRAM not in induction
    assert "It grows." in induction
    assert re.findall(r"```(?:in|out)put\n(\d+)\n", induction) == ["2", "74", "3", "111"]


def test_each_prompt_in_words_says_what_is_hidden_and_how_to_reply() -> None:
    hidden = {
        Kind.DEDUCTION: "Hidden is the output",
        Kind.ABDUCTION: "Hidden is the input",
        Kind.INDUCTION: "Hidden is the program",
    }
    for kind, words in hidden.items():
        prompt = TALKS.propose_prompt(kind, [], PROGRAM)
        assert [text for text in hidden.values() if text in prompt] == [words]
        for text in (prompt, TALKS.solve_prompt(task(kind, PROGRAM, "It grows.", *MULTIPLIES))):
            assert "<think>" in text
            assert "<answer>" in text
            assert "{" not in text  # no placeholder is left
    assert ", ".join(sorted(ALLOWED_IMPORTS)) in TALKS.propose_prompt(Kind.DEDUCTION, [], "")
    assert "exactly 10 input blocks" in TALKS.propose_prompt(Kind.INDUCTION, [], PROGRAM)


@pytest.mark.parametrize("kind", list(Kind))
def test_the_example_of_a_prompt_is_a_reply_in_the_right_form(kind: Kind) -> None:
    """Two inputs stand for ten: that is all that is wrong with it."""
    prompt = TALKS.propose_prompt(kind, [], PROGRAM)
    reply = "<think>hm</think>" + prompt[prompt.rindex("<answer>\n") :]
    read = TALKS.parse_proposal(proposal(kind, reply, "def f(words, limit):\n    return words[:limit]"))
    assert isinstance(read, Draft) if kind is not Kind.INDUCTION else read == Malformed("num_inputs", well_formed=True)
    asked = task(kind, "def f(a, b):\n    return a", "", ("[1], 'x'", "[1]"))
    prompt = TALKS.solve_prompt(asked)
    assert isinstance(TALKS.parse_answer(asked, "<think>hm</think>" + prompt[prompt.rindex("<answer>\n") :]), str)


def test_a_prompt_may_open_the_thoughts_itself() -> None:
    assert OPENED.solve_prompt(task(Kind.DEDUCTION, PROGRAM, "", ("2", "74"))).endswith("\n<think>")
    assert not TALKS.solve_prompt(task(Kind.DEDUCTION, PROGRAM, "", ("2", "74"))).endswith("<think>")


def test_references_that_would_make_the_prompt_too_long_are_left_out() -> None:
    references = [task(Kind.DEDUCTION, f"def f(n):\n    return n * {number}", "", ("2", "7" * 50)) for number in range(30, 40)]
    prompt = BARE.propose_prompt(Kind.DEDUCTION, references, "")
    assert 0 < prompt.count("```python") < 10
    assert len(prompt.encode()) <= 400
    assert "n * 30" in prompt
    assert "n * 39" not in prompt


def proposal(kind: Kind, text: str, program: str = "") -> Proposal:
    return Proposal(proposal_id="p", step=1, kind=kind, text=text, program=program)


@given(st.sampled_from(FAMILIES), st.sampled_from(list(Kind)), st.integers(0, 2**32))
def test_a_generated_draft_proposed_in_its_own_words_is_read_back_unchanged(
    family: PythonFamily, kind: Kind, seed: int
) -> None:
    draft = family.generate(kind, random.Random(seed))
    assert family.parse_proposal(proposal(kind, family.reference_proposal(as_task(draft)), draft.program)) == draft


@given(st.sampled_from(FAMILIES), st.sampled_from(list(Kind)), st.integers(0, 2**32))
def test_a_right_completion_is_read_as_what_is_hidden(family: PythonFamily, kind: Kind, seed: int) -> None:
    asked = as_task(family.generate(kind, random.Random(seed)))
    hidden = {Kind.DEDUCTION: "(-1, -1)", Kind.ABDUCTION: asked.pairs[0].input, Kind.INDUCTION: asked.program}
    assert family.parse_answer(asked, family.reference_answer(asked)) == hidden[kind]


@pytest.mark.parametrize("kind", list(Kind))
def test_generated_and_first_tasks_are_never_held_out(kind: Kind) -> None:
    rng = random.Random(3)
    heldout = {draft.fingerprint for suite in BARE.heldout().values() for draft in suite}
    drafts = [*(BARE.generate(kind, rng) for _ in range(2000)), BARE.zero(kind)]
    assert not [draft for draft in drafts if draft.fingerprint in heldout]


@pytest.mark.parametrize("kind", list(Kind))
def test_a_heldout_problem_is_refused_as_a_proposal(kind: Kind) -> None:
    draft = BARE.heldout()[kind][0]
    text = BARE.reference_proposal(as_task(draft))
    assert BARE.parse_proposal(proposal(kind, text, draft.program)) == Malformed("heldout", well_formed=True)


def test_the_first_task_is_the_identity_with_as_many_inputs_as_are_asked_for() -> None:
    assert TALKS.zero(Kind.DEDUCTION).inputs == ("'Hello world'",)
    for family in (TALKS, BARE, PythonFamily(num_inputs=14)):
        zero = family.zero(Kind.INDUCTION)
        assert len(set(zero.inputs)) == family.options.num_inputs
        assert family.num_shown(zero) == family.options.num_inputs // 2
        assert zero.message


def test_a_longer_program_and_a_longer_input_are_more_difficult() -> None:
    drafts = [
        Draft(kind=Kind.DEDUCTION, program=PROGRAM, inputs=("2",)),
        Draft(kind=Kind.DEDUCTION, program=PROGRAM, inputs=("[2, 3]",)),
        Draft(kind=Kind.DEDUCTION, program=PROGRAM + " + n", inputs=("[2, 3]",)),
    ]
    values = [TALKS.difficulty(draft) for draft in drafts]
    assert values == sorted(set(values))


@pytest.mark.parametrize(
    ("program", "given", "features"),
    [
        ("def f(n):\n    return n * 2", "3, [4]", {"shape": "straight", "takes": "int"}),
        ("def f(n):\n    return 1 if n else 2", "b=True", {"shape": "branch", "takes": "bool"}),
        ("def f(n):\n    return [1 for i in n if i]", "{'a': 1}", {"shape": "loop", "takes": "dict"}),
        ("not python", "", {"shape": "straight", "takes": "nothing"}),
        ("def f(n):\n    return n", "open('x')", {"shape": "straight", "takes": "unread"}),
    ],
)
def test_traits_of_a_draft_are_few_and_read_without_running_it(program: str, given: str, features: dict[str, str]) -> None:
    assert TALKS.features(Draft(kind=Kind.DEDUCTION, program=program, inputs=(given,))) == features


def test_all_that_the_bare_family_writes_is_in_its_alphabet() -> None:
    rng = random.Random(1)
    drafts = [BARE.generate(kind, rng) for kind in Kind for _ in range(50)] + [BARE.zero(kind) for kind in Kind]
    tasks = [as_task(draft) for draft in drafts] + [task(Kind.ABDUCTION, PROGRAM, "", ("2", "'é'"))]
    texts = [BARE.solve_prompt(item) + BARE.reference_answer(item) + BARE.reference_proposal(item) for item in tasks]
    texts += [BARE.propose_prompt(item.kind, [item], item.program) for item in tasks]
    assert set("".join(texts)) <= set(BARE.alphabet)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_input": 5}, "unknown option max_input; did you mean max_int"),
        ({"num_inputs": "many"}, "num_inputs must be a whole number, got 'many'"),
        ({"think": 1}, "think must be true or false, got 1"),
        ({"letters": 3}, "letters must be text, got 3"),
        ({"heldout_files": "rows.jsonl"}, "heldout_files must be a list of texts, got 'rows.jsonl'"),
        ({"heldout_files": ["none.jsonl"]}, "heldout_files must be readable JSONL files, got none.jsonl"),
        ({"num_inputs": 1}, "num_inputs must be at least 2, got 1"),
        ({"think": False, "prefill": True}, "prefill must be false where think is false"),
        ({"num_inputs": 12, "letters": "ab", "max_length": 2}, "num_inputs must be at most 6 (the generator has no more"),
        ({"letters": "aa"}, "letters must be two or more different ASCII letters, got 'aa'"),
    ],
)
def test_a_bad_option_is_one_line_that_names_it(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_family("python", options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
