"""Fixtures that more than one folder of tests uses."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from configs.system_sections import VerifiersSection
from tasks.arithmetic.family import ArithmeticFamily
from verifier.verifier import FamilyVerifier

# A busy machine is not a bug: properties have no deadline, and examples are the same in every run.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def verifier() -> FamilyVerifier:
    return FamilyVerifier("arithmetic", {}, VerifiersSection())


@pytest.fixture(scope="session")
def family() -> ArithmeticFamily:
    return ArithmeticFamily()


@pytest.fixture
def shared_data() -> Iterator[Path]:
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real data is absent: {SHARED_DATA}")
    return SHARED_DATA
