import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import ConfigError
from tasks.family import load_family
from tasks.prompts.family import TRAIN, PromptsFamily
from tasks.prompts.rows import is_heldout
from tasks.records import Kind, Malformed, Origin, Pair, Proposal, Task


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def sums(tmp_path: Path) -> PromptsFamily:
    rows = [{"question": f"Q: What is {left} plus 7?\nA:", "answer": left + 7} for left in range(400)]
    return PromptsFamily(path=str(write(tmp_path / "sums.jsonl", *rows)), heldout_share=0.25)


def task(prompt: str, answer: str) -> Task:
    return Task(
        task_id="t",
        kind=Kind.DEDUCTION,
        program=prompt,
        pairs=(Pair(input=answer, output=answer),),
        num_shown=1,
        fingerprint="f",
        origin=Origin.GENERATED,
        step=0,
    )


@pytest.mark.parametrize("prompt_key", ["prompt", "question", "context"])
@pytest.mark.parametrize("answer_key", ["answer", "completion"])
def test_files_of_either_naming_are_read(tmp_path: Path, prompt_key: str, answer_key: str) -> None:
    path = write(tmp_path / "rows.jsonl", {prompt_key: " What is 2 plus 3?\n", answer_key: " 5\n"}, "")
    [draft] = PromptsFamily(path=str(path), heldout_share=0).datasets()[TRAIN]
    assert (draft.program, draft.inputs) == (" What is 2 plus 3?\n", ("5",))


def test_the_prompt_is_asked_as_it_is_written_and_does_not_show_the_answer(sums: PromptsFamily) -> None:
    assert sums.solve_prompt(task("Q: What is 2 plus 3?\nA:", "5")) == "Q: What is 2 plus 3?\nA:"


def test_training_and_heldout_rows_share_no_prompt_and_are_all_of_the_file(sums: PromptsFamily) -> None:
    trained = {draft.program for draft in sums.datasets()[TRAIN]}
    held = {draft.program for draft in sums.heldout()["deduction"]}
    assert not trained & held
    assert len(trained) + len(held) == 400
    assert len(held) / 400 == pytest.approx(0.25, abs=0.07)


def test_a_row_stays_on_its_side_when_the_file_grows(tmp_path: Path, sums: PromptsFamily) -> None:
    rows = [{"question": f"Q: What is {left} plus 7?\nA:", "answer": left + 7} for left in range(399, 500)]
    more = PromptsFamily(path=str(write(tmp_path / "more.jsonl", *rows)), heldout_share=0.25)
    held = {draft.program for draft in sums.heldout()["deduction"]} | {draft.program for draft in more.heldout()["deduction"]}
    assert not held & {draft.program for family in (sums, more) for draft in family.datasets()[TRAIN]}


@given(st.text(min_size=1))
def test_case_and_spacing_cannot_move_a_heldout_prompt_into_training(prompt: str) -> None:
    changed = "  ".join(prompt.split(" ")).replace("\t", " ") + "\n"
    assert is_heldout(prompt, 0.5) == is_heldout(changed, 0.5) == is_heldout(changed.casefold(), 0.5)


def test_generated_tasks_are_never_heldout(sums: PromptsFamily) -> None:
    held = set(sums.heldout()["deduction"])
    rng = random.Random(0)
    assert not [draft for _ in range(1000) if (draft := sums.generate(Kind.DEDUCTION, rng)) in held]


def test_repeated_lines_count_once(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", *[{"prompt": "2 + 3 =", "answer": answer} for answer in (5, "5", " 5 ")])
    assert len(PromptsFamily(path=str(path), heldout_share=0).datasets()[TRAIN]) == 1


@pytest.mark.parametrize(
    ("expected", "text", "read"),
    [
        ("5", " 5", "5"),
        ("5", "5 apples", "5"),
        ("5", "-5", "-5"),
        ("5", "50", "50"),
        ("5", "it is 5", Malformed("no_number")),
        ("5", "", Malformed("no_number")),
        ("Paris", " Paris\n", "Paris"),
        ("Paris", "Paris is it", "Paris is it"),
        ("Paris", " \n", Malformed("no_answer")),
        ("2.5", "2.5", "2.5"),
    ],
)
def test_integers_are_read_by_the_journals_rule_and_all_else_whole(
    sums: PromptsFamily, expected: str, text: str, read: str | Malformed
) -> None:
    assert sums.parse_answer(task("p", expected), text) == read


@given(st.text(max_size=60), st.sampled_from(["5", "Paris"]))
def test_no_text_makes_the_parsers_raise(text: str, expected: str) -> None:
    family = PromptsFamily.__new__(PromptsFamily)  # its parsers need no file
    assert isinstance(family.parse_answer(task("p", expected), text), str | Malformed)
    proposal = Proposal(proposal_id="p", step=1, kind=Kind.DEDUCTION, text=text)
    assert family.parse_proposal(proposal) == Malformed("no_proposer")


def test_what_needs_a_proposer_says_which_mode_to_set(sums: PromptsFamily) -> None:
    for call in (
        lambda: sums.propose_prompt(Kind.DEDUCTION, [], ""),
        lambda: sums.reference_proposal(task("p", "5")),
        lambda: sums.zero(Kind.DEDUCTION),
    ):
        with pytest.raises(ConfigError, match="family prompts has no proposer; set mode=grpo"):
            call()


def test_another_kind_than_deduction_is_refused(sums: PromptsFamily) -> None:
    with pytest.raises(ConfigError, match="family prompts has no induction"):
        sums.generate(Kind.INDUCTION, random.Random(0))


def test_every_character_of_the_file_is_in_the_alphabet(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", {"prompt": "½ + ½ =", "answer": "one"}, {"prompt": "Zürich?", "answer": "CH"})
    family = PromptsFamily(path=str(path), heldout_share=0)
    assert set(family.alphabet) == set("½ + ½ =oneZürich?CH")
    assert len(set(family.alphabet)) == len(family.alphabet)


GOOD = {"prompt": "2 + 3 =", "answer": 5}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("nonsense", "rows.jsonl line 2 must be a JSON object, got 'nonsense'"),
        ("[1]", "rows.jsonl line 2 must be a JSON object"),
        ("[" * 100_000, "rows.jsonl line 2 must be a JSON object"),
        ({"answer": 5}, "rows.jsonl line 2 must have text under one of prompt, question, context"),
        ({"prompt": " ", "answer": 5}, "rows.jsonl line 2 must have text under one of prompt"),
        ({"prompt": 7, "answer": 5}, "rows.jsonl line 2 must have text under one of prompt"),
        ({"prompt": "2 + 2 ="}, "rows.jsonl line 2 must have text or a number under one of answer, completion"),
        ({"prompt": "2 + 2 =", "answer": " "}, "rows.jsonl line 2 must have text or a number"),
        ({"prompt": "2 + 2 =", "answer": True}, "rows.jsonl line 2 must have text or a number"),
        ({"prompt": "2 + 2 =", "answer": [4]}, "rows.jsonl line 2 must have text or a number"),
        ({"prompt": "2 + 2 = \ud800", "answer": 4}, "rows.jsonl line 2 must hold whole characters"),
        (
            {"prompt": "2 + 3 =", "answer": 6},
            "rows.jsonl line 2 must have the answer of the earlier row with its prompt ('5')",
        ),
    ],
)
def test_a_bad_line_is_one_line_with_its_number(tmp_path: Path, row: object, message: str) -> None:
    path = write(tmp_path / "rows.jsonl", GOOD, row)
    with pytest.raises(ConfigError) as caught:
        load_family("prompts", {"path": str(path)})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (None, {}, "path: data "),
        (b"", {}, "must hold at least one line, got none"),
        (b"\xff\xfe", {}, "must be JSONL in UTF-8, got other bytes"),
        (b'{"prompt": "a", "answer": 1}', {"heldout_share": 1.0}, "heldout_share must be from 0 to below 1, got 1.0"),
        (b'{"prompt": "a", "answer": 1}', {"heldout_share": 0.9999999}, "heldout_share must leave a row of"),
        (b'{"prompt": "a", "answer": 1}', {"path": ""}, "path must be the path of a JSONL file, or hf:OWNER/NAME, got"),
    ],
)
def test_a_bad_file_or_option_is_one_line_that_names_it(
    tmp_path: Path, content: bytes | None, options: dict[str, object], message: str
) -> None:
    path = tmp_path / "rows.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_family("prompts", {"path": str(path), **options})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


HUB_ROWS = [{"question": f"What is {left} plus 7?", "answer": left + 7} for left in range(400)]


def test_a_data_set_of_the_hub_is_read_as_a_file_with_its_rows_would_be(
    hub: Callable[..., list[tuple[object, ...]]], tmp_path: Path
) -> None:
    calls = hub(HUB_ROWS)
    from_hub = PromptsFamily(path="hf:owner/sums")
    from_file = PromptsFamily(path=str(write(tmp_path / "sums.jsonl", *HUB_ROWS)))
    PromptsFamily(path="hf:owner/sums/hard:validation[:9]")
    assert calls == [("owner/sums", None, "train"), ("owner/sums", "hard", "validation[:9]")]
    assert from_hub.datasets() == from_file.datasets()
    assert from_hub.heldout() == from_file.heldout()
    assert from_hub.alphabet == from_file.alphabet


@pytest.mark.parametrize(
    ("path", "rows", "message"),
    [
        ("hf:sums", [], "must be hf:OWNER/NAME[/CONFIG][:SPLIT], got hf:sums"),
        ("hf:owner/sums", [], "hf:owner/sums must hold at least one line, got none"),
        ("hf:owner/sums", ConnectionError("no\nroute"), "hf:owner/sums cannot be loaded (no route); check the name, the split"),
        ("hf:owner/sums", [GOOD, {"prompt": "2 + 2 =", "answer": None}], "hf:owner/sums row 1 must have text or a number"),
    ],
)
def test_a_data_set_of_the_hub_that_cannot_be_used_is_one_line_that_names_it(
    hub: Callable[..., object], path: str, rows: list[object] | Exception, message: str
) -> None:
    hub(rows)
    with pytest.raises(ConfigError) as caught:
        load_family("prompts", {"path": path})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_real_sets_of_prompt_and_answer_are_read(shared_data: Path) -> None:
    for path in sorted((shared_data / "gpt3_arithmetic").glob("*.jsonl")):
        family = PromptsFamily(path=str(path))
        assert len(family.datasets()[TRAIN]) > 1000
        assert {family.features(draft)["answer"] for draft in family.heldout()["deduction"]} == {"integer"}
