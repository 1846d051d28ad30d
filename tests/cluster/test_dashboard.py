import json
import re
from itertools import combinations
from typing import Any

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
