"""Several runs may make the same stand-in at once."""

from pathlib import Path

from learner.warm_start import appear


def test_the_first_finished_stand_in_stays_and_the_second_is_dropped(tmp_path: Path) -> None:
    for number in (1, 2):
        partial = tmp_path / f"stand-in.partial-{number}"
        partial.mkdir()
        (partial / "model").write_text(str(number))
        appear(partial, tmp_path / "stand-in")
    assert [path.name for path in tmp_path.iterdir()] == ["stand-in"]
    assert (tmp_path / "stand-in" / "model").read_text() == "1"
