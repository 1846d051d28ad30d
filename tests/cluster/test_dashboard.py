import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from cluster.dashboard import FILE, NODE_PANELS, PANELS, dashboard, text


def box(panel: dict[str, Any]) -> tuple[int, int, int, int]:
    place = panel["gridPos"]
    return place["x"], place["y"], place["x"] + place["w"], place["y"] + place["h"]


def test_the_file_is_what_the_list_of_panels_makes() -> None:
    assert FILE.read_text(encoding="utf-8") == text(), "run `python -m cluster.dashboard`"
    assert json.loads(text()) == dashboard()


def test_panels_have_numbers_of_their_own_and_do_not_cover_each_other() -> None:
    panels = dashboard()["panels"]
    assert len(panels) == len(PANELS) + len(NODE_PANELS)
    assert len({panel["id"] for panel in panels}) == len(panels)
    for a, b in combinations(map(box, panels), 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    assert all(left >= 0 and right <= 24 for left, _, right, _ in map(box, panels))


def test_every_query_chooses_the_run_and_every_legend_names_a_label_of_the_gauge() -> None:
    for panel in dashboard()["panels"]:
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters)
        for target in panel["targets"]:
            assert re.fullmatch(r'ray_node_\w+|ray_azr_\w+\{run=~"\$run"(, \w+!="\w+")?\}', target["expr"])
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))


def test_grafana_s_own_model_of_a_dashboard_knows_every_field_and_changes_no_value() -> None:
    """Without a Grafana: its library reads the file, and what it does not know it would drop."""
    told = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard())))
    assert not list(differences(dashboard(), told))


def differences(ours: Any, theirs: Any, where: str = "") -> Iterator[str]:
    """Fields of ours that they lack or have otherwise; they may add defaults."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name, value in ours.items():
            yield from differences(value, theirs.get(name), f"{where}/{name}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for place, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(one, other, f"{where}/{place}")
    elif ours != theirs:
        yield f"{where}: {ours!r} became {theirs!r}"


def test_a_field_that_grafana_does_not_know_is_found() -> None:
    told = json.loads(JSONEncoder().encode(Dashboard.from_json({**dashboard(), "uids": "x"})))
    assert list(differences({**dashboard(), "uids": "x"}, told)) == ["/uids: 'x' became None"]
