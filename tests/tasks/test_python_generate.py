"""What the generator promises: programs that run, tasks that are new, and a vocabulary that fits them."""

import hashlib
import json
import random
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.stand_in import build_tokenizer
from tasks.python.generate import random_draft
from tasks.python.grammar import OPERATIONS
from tasks.python.heldout import HeldOut, file_programs
from tasks.python.options import PythonOptions
from tasks.python.source import Program, read_program
from tasks.python.vocabulary import ALPHABET, WORDS
from tasks.records import Draft, Kind

TINY = PythonOptions(instructions=False, think=False, num_inputs=4, easy_share=0.85, max_int=10, max_length=3)  # as embedded
HELDOUT_HASHES = {"deduction": "3e4c7d3803b881a0", "abduction": "e599a11507032d99", "induction": "8edcfd2d3ab35c49"}


def draw(kind: Kind, seed: int, options: PythonOptions = TINY) -> Draft:
    return random_draft(kind, options, random.Random(seed))


def run(draft: Draft) -> list[object]:
    """In this process: these programs are the repository's own."""
    names: dict[str, object] = {}
    exec(draft.program, names)
    return [eval(f"f({text})", names) for text in draft.inputs]


@given(st.sampled_from(list(Kind)), st.integers(0, 2**40))
def test_every_generated_program_runs_on_its_inputs(kind: Kind, seed: int) -> None:
    assert all(isinstance(value, int | str | list) for value in run(draw(kind, seed)))


@given(st.integers(0, 2**40))
def test_the_seed_decides_the_draft_and_nothing_else_does(seed: int) -> None:
    assert draw(Kind.INDUCTION, seed) == draw(Kind.INDUCTION, seed)


@given(st.sampled_from(list(Kind)), st.integers(0, 2**40))
def test_a_generated_program_is_in_the_bounds_of_a_proposal(kind: Kind, seed: int) -> None:
    draft = draw(kind, seed)
    read = read_program(draft.program, TINY.limits)
    assert isinstance(read, Program)
    assert read.normal == draft.normal
    assert len(set(draft.inputs)) == len(draft.inputs) == (4 if kind is Kind.INDUCTION else 1)


def test_the_generator_leaves_no_operation_out() -> None:
    """Each operation's fixed text, as far as it has any of three characters, comes up in some program."""
    programs = "\n".join(draw(Kind.DEDUCTION, seed).program for seed in range(3000))
    fixed = {part for item in OPERATIONS for part in item.pattern.replace("{", "}").split("}")[::2] if len(part) > 2}
    assert not [part for part in fixed if part not in programs]


def test_the_share_of_easy_programs_is_what_the_options_say() -> None:
    for share in (0.0, 1.0):
        options = PythonOptions(easy_share=share)
        lines = [draw(Kind.DEDUCTION, seed, options).program.count("\n") for seed in range(200)]
        assert (min(lines) == max(lines) == 1) if share else min(lines) >= 2


def test_heldout_problems_are_the_same_for_every_run() -> None:
    """A changed hash means that all recorded accuracies are of other problems: raise it only on purpose."""
    suites = HeldOut(TINY).suites
    assert {name: len(drafts) for name, drafts in suites.items()} == {"deduction": 200, "abduction": 100, "induction": 100}
    assert {name: digest(drafts) for name, drafts in suites.items()} == HELDOUT_HASHES


def digest(drafts: tuple[Draft, ...]) -> str:
    text = json.dumps([[draft.program, draft.inputs, draft.message] for draft in drafts])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_a_heldout_pair_is_held_out_as_deduction_and_as_abduction() -> None:
    heldout = HeldOut(TINY)
    for name in ("deduction", "abduction"):
        draft = heldout.suites[name][0]
        for kind in (Kind.DEDUCTION, Kind.ABDUCTION):
            assert Draft(kind=kind, program="other text", inputs=draft.inputs, normal=draft.normal) in heldout
    pattern = heldout.suites["induction"][0]
    assert pattern in heldout
    assert Draft(kind=Kind.INDUCTION, program=pattern.program, inputs=("1", "2"), normal=pattern.normal) not in heldout


def test_programs_of_evaluation_files_are_held_out_whatever_their_input(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    code = "def f(a):\n    # a comment\n    return a * 37"
    file.write_text(json.dumps({"code": code, "input": "2"}) + "\n", encoding="utf-8")
    heldout = HeldOut(PythonOptions(heldout_deduction=0, heldout_abduction=0, heldout_induction=0, heldout_files=(str(file),)))
    assert not heldout.suites
    [normal] = file_programs(file)
    assert Draft(kind=Kind.ABDUCTION, program="def f(a): return a*37", inputs=("5",), normal=normal) in heldout


@pytest.mark.parametrize(("text", "message"), [("{}", "line 1 must be a JSON object with code"), (None, "must be readable")])
def test_a_bad_evaluation_file_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    file = tmp_path / "rows.jsonl"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message) as caught:
        HeldOut(PythonOptions(heldout_files=(str(file),)))
    assert str(file) in str(caught.value)


def test_every_program_of_the_shipped_evaluation_rows_is_refused(shared_data: Path) -> None:
    file = shared_data / "cruxeval" / "cruxeval_first400.jsonl"
    assert len(file_programs(file)) > 380


def test_each_frequent_piece_is_one_token_and_the_letters_of_strings_stay_apart() -> None:
    tokenizer = build_tokenizer(ALPHABET, WORDS)
    sizes: Mapping[str, int] = {word: len(tokenizer(word)["input_ids"]) for word in WORDS}
    assert not [word for word, size in sizes.items() if size != 1]
    assert len(tokenizer("'abcba'")["input_ids"]) == 7
    assert len(tokenizer("[10, 7]")["input_ids"]) == 7
