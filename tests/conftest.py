"""Fixtures that more than one folder of tests uses."""

import logging
import shutil
import tempfile
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


@pytest.fixture
def ray_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for Ray's files, with a short name as sockets lie in it. A head that is started with the usual one writes down
    that it is the machine's cluster, and whatever run starts meanwhile joins it."""
    path = Path(tempfile.mkdtemp(prefix="azr-"))
    monkeypatch.setenv("RAY_TMPDIR", str(path))
    yield path
    shutil.rmtree(path, ignore_errors=True)


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
