"""What a user writes wrong ends in one line that names it; what is right is read as it was meant."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import ConfigError
from configs.loader import load_config, shipped_configs
from configs.schema_keys import known_keys


def refusal(config: str | Path = "tiny-cpu", *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(config, overrides)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert caught.value.exit_code == 2
    return message


def complaint(overrides: list[str]) -> str:
    """What the loader says against them, "" when nothing; its line breaks, whatever character makes them, as newlines."""
    try:
        load_config("tiny-cpu", overrides)
    except ConfigError as error:
        return "\n".join(str(error).splitlines())
    return ""


def written(folder: Path, text: str) -> Path:
    file = folder / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("name", ["tiny-cpu", "smoke", "h100-qwen2-0.5b"])
def test_every_shipped_config_loads_by_its_bare_name_and_with_its_suffix(name: str) -> None:
    assert name in shipped_configs()
    assert load_config(name) == load_config(f"{name}.yaml")


def test_the_journals_run_is_what_the_journals_ran() -> None:
    config = load_config("h100-qwen2-0.5b")
    assert config.model.name_or_path == "Qwen/Qwen2-0.5B-Instruct"
    assert config.tasks_per_kind * 6 == 384
    assert (config.solver.attempts, config.learner.lr, config.learner.loss.kl_beta) == (32, 5e-6, 0.1)
    assert (config.solver.temperature, config.proposer.temperature) == (0.7, 1.0)
    assert (config.reward.preset, config.model.dtype, config.learner.zero_stage) == ("journal", "bfloat16", 1)


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("learner.lrr=1", ["unknown key learner.lrr", "did you mean learner.lr?"]),
        ("leraner.lr=1", ["unknown key leraner", "did you mean learner?"]),
        ("lr=1", ["unknown key lr", "learner.lr"]),
        ("steps=5", ["unknown key steps", "did you mean run.steps?"]),
        ("zzzz=1", ["unknown key zzzz", "docs/configuration.md"]),
        ("learner.lr=-1", ["learner.lr must be greater than 0, got -1"]),
        ("solver.temperature=-0.5", ["solver.temperature must be greater than 0, got -0.5"]),
        ("solver.temperature=0", ["solver.temperature must be greater than 0, got 0"]),
        ("learner.lr=fast", ["learner.lr must be a number, got fast"]),
        ("learner.lr=.inf", ["learner.lr must be a finite number"]),
        ("run.steps=2.5", ["run.steps must be a whole number, got 2.5"]),
        ("seed=true", ["seed must be a number, got true"]),
        ("learner.advantage=trrp", ["learner.advantage must be trrpp,", "got trrp", "did you mean trrpp?"]),
        ("learner.zero_stage=4", ["learner.zero_stage must be 0, 1, 2 or 3, got 4"]),
        ("family.kinds=[dedution]", ["family.kinds.0", "got dedution", "did you mean deduction?"]),
        ("family.kinds=[]", ["family.kinds must not be empty"]),
        ("family.options.digits=null", ["family.options.digits must be"]),
        ("learner=3", ["learner must be a section", "got 3"]),
        ("seed.x=1", ["seed is a single value"]),
        ("run.name=a/b", ["run.name must be a plain name", "got a/b"]),
        ("model.stand_in.solve_weights={induction: 0}", ["solve_weights.induction must be above 0, got 0"]),
        ("model.stand_in.propose_weights={induction: -1}", ["propose_weights.induction must be above 0, got -1"]),
        ("model.stand_in.hidden_size=129", ["model.stand_in.hidden_size must be", "got 129"]),
        ("proposer.max_tokens=900", ["generators.max_model_len must exceed every max_tokens", "900"]),
        ("learner.lr=[1", ["learner.lr=[1", "bad YAML"]),
        ("no-equals-sign", ["key=value", "no-equals-sign"]),
        ("=3", ["key=value"]),
        ("a..b=1", ["single dots", "a..b"]),
    ],
)
def test_a_bad_override_is_one_line_with_key_value_rule_and_nearest_name(override: str, parts: list[str]) -> None:
    message = refusal("tiny-cpu", override)
    for part in parts:
        assert part in message


def test_several_errors_show_the_first_and_count_the_others() -> None:
    message = refusal("tiny-cpu", "learner.lr=-1", "seed=-1", "learner.zro_stage=1")
    assert "unknown key learner.zro_stage; did you mean learner.zero_stage?" in message
    assert message.endswith("(and 2 more)")


def test_a_missing_file_names_the_shipped_ones(tmp_path: Path) -> None:
    assert "tiny-cpu" in refusal("tiny-cpuu")
    assert "none.yaml" in refusal(tmp_path / "none.yaml")
    assert "folder" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("- 1\n- 2\n", ["must be a mapping", "list"]),
        ("seed: 1\nlearner:\n  lr: [1\n", ["bad YAML in line"]),
        ("seed: 1\nseed: 2\n", ["line 2", "'seed' is written twice"]),
        ("learner:\n", ["learner must be a section"]),
        ("learnr:\n  lr: 1\n", ["unknown key learnr; did you mean learner?"]),
        ("run:\n  notes: 7\n", ["run.notes must be text (quote it), got 7"]),
        ("when: 2024-99-99\n", ["bad YAML"]),
        ("1: 2\n", ["1"]),
    ],
)
def test_a_bad_file_is_one_line_that_names_the_file(tmp_path: Path, text: str, parts: list[str]) -> None:
    message = refusal(written(tmp_path, text))
    assert "mine.yaml" in message
    for part in parts:
        assert part in message


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(b"\xff\xfe\x00seed")
    assert "UTF-8" in refusal(file)


def test_an_empty_file_means_every_default(tmp_path: Path) -> None:
    assert load_config(written(tmp_path, "# nothing\n")).seed == 0


@pytest.mark.parametrize("text", ["1e-4", "1E-4", "1.0e-4", "0.0001", "+1e-4", ".1e-3"])
def test_scientific_numbers_are_numbers_in_files_and_overrides(tmp_path: Path, text: str) -> None:
    assert load_config("tiny-cpu", [f"learner.lr={text}"]).learner.lr == pytest.approx(1e-4)
    assert load_config(written(tmp_path, f"learner:\n  lr: {text}\n")).learner.lr == pytest.approx(1e-4)


def test_a_text_field_keeps_what_was_typed() -> None:
    config = load_config("tiny-cpu", ["run.name=007", "run.notes=2024: the year, no", "telemetry.entity="])
    assert (config.run.name, config.run.notes, config.telemetry.entity) == ("007", "2024: the year, no", "")


def test_the_default_name_tells_config_and_seed() -> None:
    assert load_config("tiny-cpu", ["seed=3"]).run.name == "tiny-cpu-s3"
    assert load_config("tiny-cpu", ["run.name=mine", "seed=3"]).run.name == "mine"


def test_later_overrides_win_and_lists_and_family_options_pass() -> None:
    config = load_config("tiny-cpu", ["seed=1", "seed=2", "family.kinds=[induction]", "family.options.max_digits=3"])
    assert (config.seed, config.family.kinds, config.family.options["max_digits"]) == (2, ("induction",), 3)


@given(st.floats(min_value=1e-12, max_value=1e3, allow_nan=False))
def test_every_float_survives_the_command_line(lr: float) -> None:
    assert load_config("tiny-cpu", [f"learner.lr={lr!r}"]).learner.lr == lr


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_override_whatever_its_text_escapes_as_another_error(key: str, value: str) -> None:
    assert complaint([f"{key}={value}"]).count("\n") == 0


@given(st.sampled_from(sorted(known_keys())), st.text(max_size=20))
def test_no_value_of_a_real_key_escapes_as_another_error(key: str, value: str) -> None:
    assert complaint([f"{key}={value}"]).count("\n") == 0


def test_settings_that_cannot_work_together_are_refused() -> None:
    message = refusal("tiny-cpu", "solver.reuse_attempts=false", "learner.advantage=grpo")
    assert "learner.advantage must not be grpo with solver.reuse_attempts=false" in message
    assert "buffers.capacity must be at least buffers.seed_size (9)" in refusal(
        "tiny-cpu", "buffers.seed_size=9", "buffers.capacity=8"
    )


def test_the_run_of_an_instruct_model_says_in_words_what_is_asked() -> None:
    assert load_config("h100-qwen2-0.5b").family.options["instructions"] is True
