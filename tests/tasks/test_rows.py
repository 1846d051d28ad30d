"""Rows are read from files and from the hub, and what cannot be read is one line that says what to do."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from configs.errors import ConfigError, UserError
from tasks.rows import TRAIN, read_rows, source_stem

Hub = Callable[..., list[tuple[object, ...]]]


def test_rows_know_their_line_and_blank_lines_are_none(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"a": "1\\u2028"}\r\n\n{"a": "2"}\n', encoding="utf-8")
    assert [(row.place, row.text("a")) for row in read_rows(str(path))] == [
        (f"{path} line 1", "1\u2028"),
        (f"{path} line 3", "2"),
    ]


@pytest.mark.parametrize("line", ["not json", "[1]", "3", "[" * 100_000])
def test_a_bad_line_is_named_with_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"prompt": "1 + 1 = ", "answer": 2}\n' + line + "\n")
    with pytest.raises(UserError, match=r"bad\.jsonl line 2 must be a JSON object"):
        read_rows(str(path))


def test_a_missing_an_empty_and_a_binary_file_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_rows(str(tmp_path / "none.jsonl"))
    with pytest.raises(UserError, match="cannot be read"):
        read_rows(str(tmp_path))
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(UserError, match="at least one line"):
        read_rows(str(tmp_path / "empty.jsonl"))
    (tmp_path / "binary.jsonl").write_bytes(b"\x80\x81")
    with pytest.raises(UserError, match="UTF-8"):
        read_rows(str(tmp_path / "binary.jsonl"))


@pytest.mark.parametrize("data", ['{"text": 1, "tests": "x"}', '{"tests": [1]}', "{}"])
def test_a_field_of_another_type_is_named_with_its_place(tmp_path: Path, data: str) -> None:
    (tmp_path / "a.jsonl").write_text(data)
    [row] = read_rows(str(tmp_path / "a.jsonl"))
    with pytest.raises(UserError, match=r"a\.jsonl line 1 must have text under 'text'"):
        row.text("text")
    with pytest.raises(UserError, match=r"a\.jsonl line 1 must have a list of texts under 'tests'"):
        row.texts("tests")


@pytest.mark.parametrize(
    ("source", "call", "stem"),
    [
        ("hf:owner/name", ("owner/name", None, "test"), "name"),
        ("hf:owner/name:train[:5]", ("owner/name", None, "train[:5]"), "name"),
        ("hf:openai/gsm8k/main:test", ("openai/gsm8k", "main", "test"), "gsm8k"),
    ],
)
def test_a_hub_name_says_data_set_config_and_split(hub: Hub, source: str, call: tuple[object, ...], stem: str) -> None:
    calls = hub([{"question": "1 + 1?", "answer": "#### 2"}])
    [row] = read_rows(source)
    assert calls == [call]
    assert (row.place, row.text("answer"), source_stem(source)) == (f"{source} row 0", "#### 2", stem)


@pytest.mark.parametrize("source", ["hf:", "hf:name", "hf:a/b/c/d", "hf:a/b:", "hf:../x y"])
def test_a_hub_name_of_another_form_is_refused(source: str) -> None:
    with pytest.raises(ConfigError, match="must be hf:OWNER/NAME"):
        read_rows(source)


def test_a_name_without_a_split_means_the_one_that_the_caller_wants(hub: Hub) -> None:
    calls = hub([{"question": "1 + 1?"}])
    read_rows("hf:owner/name", TRAIN)
    read_rows("hf:owner/name:test", TRAIN)
    assert [split for _, _, split in calls] == ["train", "test"]


def test_the_library_itself_reads_a_data_set_that_lies_beside_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets", reason="the optional package datasets is absent")
    (tmp_path / "owner" / "sums").mkdir(parents=True)
    (tmp_path / "owner" / "sums" / "train.jsonl").write_text('{"question": "1 + 1?", "answer": 2}\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    [row] = read_rows("hf:owner/sums", TRAIN)
    assert (row.place, dict(row.data)) == ("hf:owner/sums row 0", {"question": "1 + 1?", "answer": 2})
    with pytest.raises(UserError, match=r"hf:owner/sums:none cannot be loaded \(Unknown split"):
        read_rows("hf:owner/sums:none")


def test_without_the_package_or_the_network_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match="pip install datasets"):
        read_rows("hf:owner/name")
    for failure in (ConnectionError("Couldn't\nreach it"), ValueError("no split"), KeyError("damaged")):
        hub(failure)
        with pytest.raises(UserError, match="save its rows as JSONL") as told:
            read_rows("hf:owner/name")
        assert "\n" not in str(told.value)
