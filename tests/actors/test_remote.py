"""All parts of a run as Ray actors inside their placement groups."""

from collections.abc import Callable
from pathlib import Path

import pytest
from ray.util.placement_group import placement_group, remove_placement_group

from actors.placement import Placement, Slot, bundles
from actors.remote import remote_parts
from configs.schema import RunConfig
from tasks.records import Kind, Request
from telemetry.records import StepRecord


class Records:
    def emit(self, record: StepRecord) -> None:
        raise AssertionError(f"starting parts must not emit, got step {record.global_step}")


@pytest.mark.slow
def test_every_part_starts_in_its_bundle_and_weights_flow(
    ray_cluster: None, tiny_model: Path, make_requests: Callable[..., list[Request]]
) -> None:
    config = RunConfig.model_validate(
        {
            "generators": {"engine": "transformers"},
            "learner": {"threads": 1},
            "run": {"name": "parts"},
            "verifiers": {"count": 2},
        }
    )
    wanted = bundles(config.generators, config.learner, config.verifiers)
    groups = [placement_group(list(part)) for part in (wanted.generators, wanted.learner, wanted.services)]
    slots = [Slot(group=groups[0], index=index) for index in range(len(wanted.generators))]
    placement = Placement(generators=slots, learner=groups[1], services=groups[2])
    parts = remote_parts(config, str(tiny_model), Records(), placement)
    try:
        publication = parts.learner.publish(4)
        parts.generator.load(publication)
        assert {rollout.policy_version for rollout in parts.generator.generate(make_requests(4))} == {4}
        assert parts.buffers.sizes() == dict.fromkeys(Kind, 0)
        assert parts.verifier.grade([]) == []
    finally:
        for part in (parts.generator, parts.learner, parts.verifier, parts.buffers):
            part.close()  # type: ignore[attr-defined]
        for group in groups:
            remove_placement_group(group)
