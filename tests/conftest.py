"""Fixtures that more than one folder of tests uses."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from configs.system_sections import VerifiersSection
from tasks.arithmetic.family import ArithmeticFamily
from verifier.verifier import FamilyVerifier

# A busy machine is not a bug: properties have no deadline, and examples are the same in every run.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("quick", deadline=None, derandomize=True, max_examples=20)  # `make check`
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


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[None]:
    """A local Ray of its own, ended with the module: others start theirs by the program's own code."""
    import ray  # most tests do without it

    from cluster.patience import patiently

    patiently(
        lambda: ray.init(
            address="local", num_cpus=4, include_dashboard=False, object_store_memory=200 * 2**20, log_to_driver=False,
            logging_level=logging.ERROR,
        )
    )  # fmt: skip
    yield
    ray.shutdown()
