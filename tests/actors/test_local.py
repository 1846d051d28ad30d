"""The parts of a run in one process, without Ray."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from actors.local import local_parts
from configs.errors import ConfigError
from configs.schema import RunConfig
from tasks.records import Kind, Request
from telemetry.records import StepRecord


class Records:
    def __init__(self) -> None:
        self.taken: list[StepRecord] = []

    def emit(self, record: StepRecord) -> None:
        self.taken.append(record)


def config_of(**learner: object) -> RunConfig:
    return RunConfig.model_validate(
        {"generators": {"engine": "transformers"}, "learner": {"threads": 1, **learner}, "family": {"kinds": ["deduction"]}}
    )


def test_what_the_learner_publishes_the_generator_serves(tiny_model: Path, make_requests: Callable[..., list[Request]]) -> None:
    parts = local_parts(config_of(), str(tiny_model), Records())
    publication = parts.learner.publish(3)
    parts.generator.load(publication)
    rollouts = parts.generator.generate(make_requests(4))
    assert {rollout.weight_fingerprint for rollout in rollouts} == {publication.manifest.fingerprint}
    assert {rollout.policy_version for rollout in rollouts} == {3}
    assert parts.buffers.sizes() == {Kind.DEDUCTION: 0}


def test_several_ranks_need_processes(tiny_model: Path) -> None:
    with pytest.raises(ConfigError, match=r"learner\.world_size must be 1 with --local, got 2"):
        local_parts(config_of(world_size=2), str(tiny_model), Records())


@pytest.mark.slow
def test_wiring_without_ray_does_not_import_it() -> None:
    code = "import sys, actors.local, actors.engines; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0
