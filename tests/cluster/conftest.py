"""Fixtures of the cluster tests: a configuration whose run directory lies in the test's own folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from configs.loader import load_config
from configs.schema import RunConfig

ConfigMaker = Callable[..., RunConfig]


@pytest.fixture
def config_of(tmp_path: Path) -> ConfigMaker:
    """`config_of("seed=1", ...)`: the smoke configuration under tmp_path/runs."""

    def make(*overrides: str) -> RunConfig:
        return load_config("smoke", [f"run.root={tmp_path / 'runs'}", *overrides])

    return make
