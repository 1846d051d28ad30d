"""Pools of the sandbox that must leave nothing behind."""

from collections.abc import Callable, Iterator

import pytest

from configs.system_sections import VerifiersSection
from tests.verifier.observing import OTHERS, descriptors, leaked, servers
from verifier.sandbox.pool import Pool


@pytest.fixture
def alone() -> Iterator[None]:
    """`servers()` are those of this test: a module may hold others for as long as the session."""
    others = {server.pid for server in servers()}
    OTHERS.update(others)
    yield
    OTHERS.difference_update(others)


@pytest.fixture
def make_pool(alone: None) -> Iterator[Callable[..., Pool]]:
    """`make_pool(timeout_s=1, ...)`: closed at the end; then the descriptors are those of before, and no server is left."""
    before = descriptors()
    made: list[Pool] = []

    def make(**options: float) -> Pool:
        made.append(Pool(VerifiersSection(**options)))
        return made[-1]

    yield make
    for pool in made:
        pool.close()
    assert not leaked(before)
    assert not servers()
