"""A configuration that asks for GPUs which are not there is refused before anything starts."""

from collections.abc import Callable

import pytest

from cluster.devices import check_devices, count_gpus, gpus_needed
from configs.errors import ConfigError
from configs.schema import RunConfig

ConfigMaker = Callable[..., RunConfig]


@pytest.mark.parametrize(("visible", "count"), [("", 0), ("-1", 0), ("0", 1), ("0,1,3", 3)])
def test_visible_devices_are_counted(monkeypatch: pytest.MonkeyPatch, visible: str, count: int) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert count_gpus() == count


def test_the_keys_that_ask_and_the_cpu_alternative_are_named(config_of: ConfigMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    config = config_of("generators.device=gpu", "generators.count=2", "learner.device=gpu")
    assert gpus_needed(config) == {"generators.device": 2, "learner.device": 1}
    with pytest.raises(ConfigError) as caught:
        check_devices(config, shared=False)
    message = str(caught.value)
    assert "generators.device=gpu and learner.device=gpu: 3 GPUs needed, 1 found" in message
    assert "generators.device=cpu learner.device=cpu" in message


def test_in_one_process_one_gpu_is_enough_and_a_cpu_run_needs_none(
    config_of: ConfigMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    check_devices(config_of("generators.device=gpu", "learner.device=gpu"), shared=True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    check_devices(config_of(), shared=False)
