"""docs/configuration.md says what the schema says."""

from configs.describe import PAGE, page
from configs.schema_keys import is_section, known_keys


def test_the_committed_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m configs.describe`"


def test_every_key_stands_on_the_page_with_a_reason() -> None:
    text = page()
    for key, field in known_keys().items():
        if not is_section(field):
            assert f"| `{key}` |" in text
            assert field.description, f"{key} has no line of reason"
