"""A real local Ray cluster, and what Prometheus would scrape from its node."""

import re
import time
import urllib.request
from collections.abc import Iterator

import pytest
import ray

from cluster.patience import patiently
from cluster.ray_metrics import RayMetrics
from telemetry.records import Phase, StepRecord

pytestmark = pytest.mark.slow
DEADLINE_S = 120.0
SCALARS = {
    "reward/deduction/solve": 0.25,
    "reward/induction/propose": -0.5,
    "eval/deduction/accuracy": 0.47,
    "zero_std": 0.3,
    "zero_std/deduction": 0.1,
    "time/solve": 0.5,
    "loss/total": float("nan"),
}


@pytest.fixture
def cluster() -> Iterator[None]:
    patiently(
        lambda: ray.init(
            address="local", num_cpus=1, include_dashboard=False, object_store_memory=80 * 2**20, log_to_driver=False
        )
    )
    yield
    ray.shutdown()


def scrape() -> str:
    [node] = ray.nodes()
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        page: str = answer.read().decode()
    return page


def values(page: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Our gauges with the labels that we gave them."""
    found = {}
    for name, labels, value in re.findall(r"^(ray_azr_\w+)\{(.*)\} (\S+)$", page, re.MULTILINE):
        ours = {
            (key, text)
            for key, text in re.findall(r'(\w+)="([^"]*)"', labels)
            if key in ("run", "kind", "role", "suite", "stage")
        }
        found[name, frozenset(ours)] = float(value)
    return found


def test_a_scrape_of_the_node_finds_the_newest_step(cluster: None) -> None:
    sink = RayMetrics("scraped-s0")
    run = ("run", "scraped-s0")
    wanted = {
        ("ray_azr_reward", frozenset({run, ("kind", "deduction"), ("role", "solve")})): 0.25,
        ("ray_azr_reward", frozenset({run, ("kind", "induction"), ("role", "propose")})): -0.5,
        ("ray_azr_eval_accuracy", frozenset({run, ("suite", "deduction")})): 0.47,
        ("ray_azr_zero_std", frozenset({run, ("kind", "all")})): 0.3,
        ("ray_azr_zero_std", frozenset({run, ("kind", "deduction")})): 0.1,
        ("ray_azr_stage_seconds", frozenset({run, ("stage", "solve")})): 0.5,
        ("ray_azr_global_step", frozenset({run})): 2.0,
        ("ray_azr_step", frozenset({run})): 2.0,
        ("ray_azr_policy_version", frozenset({run})): 2.0,
    }
    for step in (1, 2):
        sink.write(StepRecord(global_step=step, phase=Phase.SELF_PLAY, step=step, version=step, scalars=SCALARS))
    ends = time.monotonic() + DEADLINE_S
    while (found := values(scrape())) != wanted and time.monotonic() < ends:
        time.sleep(1.0)
    assert found == wanted
