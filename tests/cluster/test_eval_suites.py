"""Which suites `azr eval` asks, where it looks for them, and what it says when they are not there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.eval_suites import Chosen, Judges, Wanted, choose_suites, distinct_names
from configs.errors import ConfigError, UserError
from configs.loader import load_config

ADDITION = '{"context": "Q: What is 1 plus 1?", "completion": " 2"}\n'
CRUXEVAL = '{"code": "def f(n):\\n    return n + 1", "input": "1", "output": "2", "id": "one"}\n'
MBPP = (
    '{"text": "Add.", "code": "def add(a):\\n    return a", "task_id": 11, "test_setup_code": "", '
    '"test_list": ["assert add(1)"]}\n'
)


@pytest.fixture
def judges() -> Iterator[Judges]:
    judges = Judges(load_config("smoke"))
    yield judges
    judges.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in (
        ("gpt3_arithmetic/two_digit_addition.jsonl", ADDITION * 3),
        ("gpt3_arithmetic/one.jsonl", ADDITION),
        ("cruxeval/cruxeval_first400.jsonl", CRUXEVAL),
        ("mbpp/mbpp.jsonl", MBPP),
        ("gsm8k/test.jsonl", '{"question": "1 + 1?", "answer": "#### 2"}\n'),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def choose(judges: Judges, *suites: str, chat: bool = False, **wanted: object) -> dict[str, Chosen]:
    chosen = choose_suites(Wanted(suites=suites, **wanted), judges, lambda: chat)  # type: ignore[arg-type]
    return {one.name: one for one in chosen}


def sizes(chosen: dict[str, Chosen]) -> dict[str, int]:
    return {name: len(one.suite.items) for name, one in chosen.items()}


def test_heldout_suites_are_chosen_by_name_cut_by_limit_and_joined_by_files(tmp_path: Path, judges: Judges) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text('{"prompt": "1 + 1 = ", "answer": "2"}\n' * 3)
    assert sizes(choose(judges, "deduction", data=(str(file),), limit=2)) == {"deduction": 2, "mine": 2}
    assert set(choose(judges, data=(str(file),))) == {"mine"}
    assert set(choose(judges, limit=1)) == set(choose(judges, "arithmetic")) == set(judges.heldout())


def test_questions_are_asked_in_the_public_form_unless_verbatim(root: Path, judges: Judges) -> None:
    for verbatim, prompt in ((True, "Q: What is 1 plus 1?"), (False, "Calculate: 1 + 1 = ")):
        for name, one in choose(judges, "gpt3", data_root=root, verbatim=verbatim).items():
            assert name in ("gpt3_one", "gpt3_two_digit_addition")
            assert {item.prompt for item in one.suite.items} == {prompt}


def test_data_sets_lie_under_the_data_root_or_where_it_is_said(root: Path, tmp_path: Path, judges: Judges) -> None:
    names = ("gsm8k", "gpt3_two_digit_addition", "cruxeval-o", "cruxeval-i", "mbpp-test")
    assert sizes(choose(judges, *names, data_root=root)) == dict.fromkeys(names, 1) | {"gpt3_two_digit_addition": 3}
    elsewhere = tmp_path / "elsewhere.jsonl"
    elsewhere.write_text(CRUXEVAL * 2)
    assert sizes(choose(judges, f"cruxeval-o={elsewhere}")) == {"cruxeval-o": 2}
    assert sizes(choose(judges, f"gpt3_mine={root}/gpt3_arithmetic/one.jsonl")) == {"gpt3_mine": 1}
    assert sizes(choose(judges, f"gpt3={root}/gpt3_arithmetic")) == {"gpt3_one": 1, "gpt3_two_digit_addition": 3}


def test_a_python_suite_has_its_own_verifier_whatever_the_run_s_family(root: Path, judges: Judges) -> None:
    chosen = choose(judges, "cruxeval-o", "mbpp", "gsm8k", "deduction", data_root=root)
    families = {name: one.verifier.family.name if one.verifier else None for name, one in chosen.items()}
    assert families == {"cruxeval-o": "python", "mbpp": "python", "gsm8k": None, "deduction": "arithmetic"}


def test_a_python_run_is_asked_in_its_own_form_within_the_usual_bounds(root: Path) -> None:
    config = load_config(
        "smoke", ["family.name=python", "family.options={instructions: false, think: false, max_input_chars: 60}"]
    )
    judges = Judges(config)
    [one] = choose(judges, "cruxeval-o", data_root=root).values()
    assert one.verifier is not None
    options = one.verifier.family.options  # type: ignore[attr-defined]
    assert (options.instructions, options.think) == (False, False)
    assert options.max_input_chars > 60
    assert one.max_tokens == config.evaluation.max_tokens
    judges.close()


def test_answers_may_be_as_long_as_the_suite_needs_or_as_it_is_said(root: Path, judges: Judges) -> None:
    chosen = choose(judges, "gsm8k", "cruxeval-i", "deduction", data_root=root)
    assert [one.max_tokens for one in chosen.values()] == [512, 1024, judges.config.evaluation.max_tokens]
    chosen = choose(judges, "gsm8k", "cruxeval-i", "deduction", data_root=root, max_tokens=7)
    assert [one.max_tokens for one in chosen.values()] == [7, 7, 7]


@pytest.mark.slow
def test_only_programs_need_to_know_whether_the_model_speaks_chat(root: Path, judges: Judges) -> None:
    def refuse() -> bool:
        raise UserError("asked")

    choose_suites(Wanted(suites=("gsm8k", "cruxeval-o", "deduction"), data_root=root), judges, refuse)
    with pytest.raises(UserError, match="asked"):
        choose_suites(Wanted(suites=("mbpp",), data_root=root), judges, refuse)
    prompts = [choose(judges, "mbpp", chat=chat, data_root=root)["mbpp"].suite.items[0].prompt for chat in (False, True)]
    assert prompts[0].startswith('"""')
    assert prompts[1].startswith("You are")


def test_two_sources_of_one_name_are_two_suites_and_the_same_one_twice_is_one(
    root: Path, tmp_path: Path, judges: Judges
) -> None:
    files = []
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        files.append(str(tmp_path / str(number) / "deduction.jsonl"))
        Path(files[-1]).write_text('{"prompt": "?", "answer": "2"}\n' * number)
    chosen = choose(judges, "deduction", data=(*files, files[0]), limit=3)
    assert sizes(chosen) == {"deduction": 3, "deduction-2": 1, "deduction-3": 2}
    assert sizes(choose(judges, "gsm8k", "gsm8k", data_root=root)) == {"gsm8k": 1}


@given(st.lists(st.sampled_from(["a", "a-2", "a-2-2", "b"])))
def test_names_are_distinct_and_the_first_keeps_its_own(names: list[str]) -> None:
    distinct = distinct_names(names)
    assert len(set(distinct)) == len(names) == len(distinct)
    assert [distinct[names.index(name)] for name in names] == names


@pytest.mark.parametrize(
    ("suite", "error", "parts"),
    [
        ("deducton", ConfigError, ["did you mean deduction", "cruxeval-i"]),
        ("humanevil", ConfigError, ["did you mean humaneval"]),
        ("deduction=x.jsonl", ConfigError, ["=SOURCE", "deduction=x.jsonl"]),
        ("hf:nothing", ConfigError, ["hf:OWNER/NAME"]),
        ("gsm8k=", ConfigError, ["NAME=SOURCE"]),
        ("humaneval", UserError, ["humaneval/HumanEval.jsonl", "--data-root"]),
        ("gsm8k=nowhere.jsonl", UserError, ["nowhere.jsonl", "--suite gsm8k=FILE"]),
        ("gpt3_nine", UserError, ["gpt3_arithmetic/nine.jsonl", "--data-root"]),
        ("gpt3=nowhere", UserError, ["nowhere", "--suite gpt3=FOLDER"]),
    ],
)
def test_what_is_not_there_is_one_line_with_the_remedy(
    root: Path, judges: Judges, suite: str, error: type[UserError], parts: list[str]
) -> None:
    with pytest.raises(error) as told:
        choose(judges, suite, data_root=root)
    assert "\n" not in str(told.value)
    assert all(part in str(told.value) for part in parts), told.value


def test_a_suite_of_which_nothing_can_be_asked_is_one_line(tmp_path: Path, judges: Judges) -> None:
    path = tmp_path / "wrong.jsonl"
    path.write_text(CRUXEVAL.replace('"output": "2"', '"output": "3"'))
    with pytest.raises(UserError, match=r"cruxeval-o must hold a row that can be asked, got none in .*wrong\.jsonl"):
        choose(judges, f"cruxeval-o={path}")
