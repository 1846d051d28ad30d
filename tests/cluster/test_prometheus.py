"""A real Prometheus with the shipped configuration finds the node of a Ray cluster, and answers the dashboard's queries."""

import json
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from cluster.dashboard import FILE as DASHBOARD
from cluster.dashboard import dashboard
from cluster.launch import free_port
from cluster.patience import patiently
from cluster.ray_metrics import RayMetrics
from telemetry.records import Phase, StepRecord

pytestmark = pytest.mark.slow
DEADLINE_S = 180.0
CONFIG = DASHBOARD.with_name("prometheus.yml")
TEMP = "/tmp/ray/"  # Ray's own, where the configuration looks for the list of nodes
RUN = "scraped-s0"
Ask = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def cluster(ray_home: Path) -> Iterator[None]:
    """With its dashboard, which is what keeps the list of nodes."""
    start = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "log_to_driver": False, "dashboard_port": free_port()}
    patiently(lambda: ray.init(address="local", include_dashboard=True, **start))
    yield
    ray.shutdown()


@pytest.fixture
def prometheus(ray_home: Path) -> Iterator[Ask]:
    binary = shutil.which("prometheus") or shutil.which("prometheus", path=str(Path(sys.executable).parent))
    if binary is None:
        pytest.skip("there is no Prometheus; `make tools` installs one")
    shipped = CONFIG.read_text(encoding="utf-8")
    assert TEMP in shipped
    config, address = ray_home / "prometheus.yml", f"127.0.0.1:{free_port()}"
    config.write_text(shipped.replace(TEMP, f"{ray_home}/ray/").replace("interval: 10s", "interval: 1s"), encoding="utf-8")
    flags = [f"--config.file={config}", f"--storage.tsdb.path={ray_home / 'data'}", f"--web.listen-address={address}"]
    process = subprocess.Popen([binary, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ask(query: str) -> list[dict[str, Any]]:
        url = f"http://{address}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            told = json.load(answer)
        assert told["status"] == "success", told
        found: list[dict[str, Any]] = told["data"]["result"]
        return found

    yield ask
    process.terminate()
    process.wait(30)


def soon(ask: Ask, query: str, wanted: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    ends, found = time.monotonic() + DEADLINE_S, list[dict[str, Any]]()
    while time.monotonic() < ends:
        try:
            found = ask(query)
        except OSError:  # it is still starting
            found = []
        if wanted(found):
            return found
        time.sleep(0.5)
    raise AssertionError(f"{query} gives {found} after {DEADLINE_S:g} s")


def test_prometheus_finds_the_node_and_shows_a_run_s_newest_step_and_answers_every_panel(
    cluster: None, prometheus: Ask
) -> None:
    sink = RayMetrics(RUN)
    for step, reward in ((1, 0.0), (2, 0.25)):
        scalars = {"reward/deduction/solve": reward, "time/solve": 0.5, "eval/deduction/accuracy": 0.47}
        sink.write(StepRecord(global_step=step, phase=Phase.SELF_PLAY, step=step, version=step, scalars=scalars))
    query = f'ray_azr_reward{{run="{RUN}", kind="deduction", role="solve"}}'
    soon(prometheus, query, lambda found: [one["value"][1] for one in found] == ["0.25"])
    titles = []
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            titles += [panel["title"]] if prometheus(target["expr"].replace("$run", RUN)) else []
    assert {"Held-out accuracy", "Reward", "Seconds of a step", "Clocks", "CPU of the nodes"} <= set(titles)
