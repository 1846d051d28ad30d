"""The shape of the house: imports go one way, heavy libraries stay at the edges, the loop's functions stay short."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ORDER = ["configs", "tasks", "verifier", "buffers", "telemetry", "learner", "selfplay", "actors", "cluster", "benchmarks"]
FORBIDDEN = {"learner": {"verifier", "buffers"}}
HOMES = {
    "ray": {"actors", "cluster", "benchmarks"},
    "vllm": {"actors", "benchmarks"},
    "torch": {"learner", "actors", "benchmarks"},
    "deepspeed": {"learner", "benchmarks"},
    "wandb": {"telemetry"},
}
MAX_LOOP_FUNCTION = 50


def modules(folder: str) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted((ROOT / folder).rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield (node.module or "").split(".")[0]


@pytest.mark.parametrize("folder", ORDER)
def test_a_folder_imports_only_from_those_before_it(folder: str) -> None:
    allowed = set(ORDER[: ORDER.index(folder) + 1]) - FORBIDDEN.get(folder, set())
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path, tree in modules(folder)
        for name in imported(tree)
        if name in ORDER and name not in allowed
    ]
    assert not wrong


@pytest.mark.parametrize("library", HOMES)
def test_a_heavy_library_is_imported_only_where_it_lives(library: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {library}"
        for folder in ORDER
        if folder not in HOMES[library]
        for path, tree in modules(folder)
        if library in imported(tree)
    ]
    assert not wrong


def test_pure_folders_import_no_third_party_library_but_the_ones_named() -> None:
    import sys

    allowed = {
        "configs": {"pydantic", "pydantic_core", "annotated_types", "yaml"},
        "tasks": {"_typeshed"},  # for type checkers only
        "verifier": {"pyseccomp"},
        "buffers": {"numpy"},
    }
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for folder, extra in allowed.items()
        for path, tree in modules(folder)
        for name in imported(tree)
        if name not in sys.stdlib_module_names and name not in ORDER and name not in extra
    ]
    assert not wrong


def test_no_function_of_the_loop_is_longer_than_a_screen() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path, tree in modules("selfplay")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno + 1 > MAX_LOOP_FUNCTION
    ]
    assert not long


def test_package_heads_hold_no_code() -> None:
    assert not [path for folder in ORDER for path, tree in modules(folder) if path.name == "__init__.py" and tree.body]
