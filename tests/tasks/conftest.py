"""A stand-in for the package `datasets`: the hub without a network."""

import sys
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType, SimpleNamespace

import pytest

Rows = Sequence[dict[str, object]]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Callable[[Rows | Exception], list[tuple[object, ...]]]:
    """Gives every data set these rows, or fails with the exception; returns the list of the calls that it gets."""

    def install(found: Rows | Exception) -> list[tuple[object, ...]]:
        calls: list[tuple[object, ...]] = []

        def load_dataset(name: str, config: str | None, *, split: str) -> Iterator[dict[str, object]]:
            calls.append((name, config, split))
            if isinstance(found, Exception):
                raise found
            return iter(found)

        module = ModuleType("datasets")
        module.load_dataset = load_dataset  # type: ignore[attr-defined]
        module.exceptions = SimpleNamespace(DatasetsError=KeyError)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "datasets", module)
        return calls

    return install
