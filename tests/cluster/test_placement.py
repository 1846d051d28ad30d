"""What does not fit is refused with the numbers, and a cluster that was started here is gone afterwards."""

import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import ray
from ray.util.placement_group import placement_group_table

from cluster import launch
from cluster.bundles import groups, total
from cluster.launch import address_to_join, ray_cluster
from cluster.placement import placed, refusal
from cluster.processes import descendants
from configs.errors import ConfigError, UserError
from configs.schema import RunConfig

ConfigMaker = Callable[..., RunConfig]
SMALL = ("cluster.address=local", "cluster.object_store_mib=80", "cluster.placement_timeout_s=2")


def test_groups_are_what_the_configuration_asks_for(config_of: ConfigMaker) -> None:
    config = config_of(
        "generators.count=2", "generators.cpus=1.5", "learner.world_size=3", "learner.device=gpu", "verifiers.count=2"
    )
    generators, learner, services = groups(config)
    assert generators.bundles == ({"CPU": 1.5}, {"CPU": 1.5})
    assert learner.bundles == ({"CPU": 0.5, "GPU": 1.0},) * 3
    assert len(services.bundles) == 3
    assert (generators.strategy, learner.strategy) == ("SPREAD", "PACK")
    assert total(config) == {"CPU": 3.0 + 1.5 + 0.25 + 0.5, "GPU": 3.0}


def test_a_refusal_is_one_line_with_needed_and_available_per_resource_and_group(config_of: ConfigMaker) -> None:
    message = refusal(config_of("generators.cpus=7", "learner.device=gpu"), {"CPU": 2.0}, "the cluster is too small")
    assert len(message.splitlines()) == 1
    for part in ("CPU 8 needed, 2 available", "GPU 1 needed, 0 available", "generators 7 CPU in 1", "learner 0.5 CPU + 1 GPU"):
        assert part in message


@pytest.mark.parametrize(
    ("wanted", "told", "joined"),
    [
        ("local", "10.0.0.1:6379", None),
        ("auto", "10.0.0.1:6379", "10.0.0.1:6379"),
        ("auto", "local", None),
        ("auto", "", None),
        ("10.0.0.2:6379", "10.0.0.1:6379", "10.0.0.2:6379"),
    ],
)
def test_the_address_says_which_cluster_is_joined(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wanted: str, told: str, joined: str | None
) -> None:
    monkeypatch.setattr(launch, "CURRENT_CLUSTER", tmp_path / "none")
    monkeypatch.setenv("RAY_ADDRESS", told)
    assert address_to_join(wanted) == joined


def test_the_record_of_a_cluster_that_is_gone_is_not_joined(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    record = tmp_path / "ray_current_cluster"
    monkeypatch.setattr(launch, "CURRENT_CLUSTER", record)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with socket.socket() as alive:
        alive.bind(("127.0.0.1", 0))
        alive.listen()
        record.write_text(f"127.0.0.1:{alive.getsockname()[1]}")
        assert address_to_join("auto") == record.read_text()
    assert address_to_join("auto") is None


def test_a_dashboard_port_in_use_is_one_line_that_names_the_key() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match=r"cluster\.dashboard_port: port \d+ cannot be used") as caught:
            launch.check_port(taken.getsockname()[1], "cluster.dashboard_port")
    assert len(str(caught.value).splitlines()) == 1


@pytest.fixture(scope="module")
def local_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[set[psutil.Process]]:
    """A real local cluster of 2 or more CPUs; yields its processes. Checks at the end that none is left, and that what began
    beside it and is not Ray's, as W&B's service may, is left alone."""
    from configs.loader import load_config

    config = load_config("smoke", SMALL)
    before = descendants()
    with ray_cluster(config.cluster, num_cpus=2) as cluster:
        assert cluster.started_here
        assert cluster.dashboard_url.startswith("http://127.0.0.1:")
        started = descendants() - before
        assert started
        beside = subprocess.Popen(["sleep", "600"])
        yield started
    try:
        assert not [process for process in started if process.is_running()]
        assert not ray.is_initialized()
        assert beside.poll() is None
    finally:
        beside.kill()
        beside.wait()


@pytest.mark.slow
def test_what_can_never_fit_is_refused_at_once_and_leaves_no_group(local_ray: object, config_of: ConfigMaker) -> None:
    with (
        pytest.raises(UserError, match=r"the cluster is too small: CPU 501 needed"),
        placed(config_of(*SMALL, "generators.cpus=500"), can_grow=False),
    ):
        pass
    assert not _groups_alive()


@pytest.mark.slow
def test_on_a_cluster_that_may_grow_the_deadline_refuses(local_ray: object, config_of: ConfigMaker) -> None:
    config = config_of(*SMALL, "learner.device=gpu")
    with (
        pytest.raises(UserError, match=r"learner not placed within cluster\.placement_timeout_s=2") as caught,
        placed(config, can_grow=True),
    ):
        pass
    assert "GPU 1 needed, 0 available" in str(caught.value)
    assert not _groups_alive()


@pytest.mark.slow
def test_what_fits_is_placed_and_gone_afterwards(local_ray: object, config_of: ConfigMaker) -> None:
    with placed(config_of(*SMALL), can_grow=False) as placement:
        assert len(placement.services.bundle_specs) == 2
        assert len(_groups_alive()) == 3
    assert not _groups_alive()


def _groups_alive() -> list[str]:
    return [group["name"] for group in placement_group_table().values() if group["state"] != "REMOVED"]
