"""The page of a report: one HTML file that opens without a network, made from the templates in web/.

Invariants: every value goes through Jinja's autoescape, and what models wrote reaches the page only as data that
web/rollouts.js shows as text. The page's own security policy lets the browser run exactly the scripts that are put in
here, by their hashes, and load nothing. Does not: know what a run is (telemetry.report).
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from telemetry.rollouts import PackedRollouts

ENVIRONMENT = Environment(
    loader=PackageLoader("telemetry", "web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class PageTable:
    """A table of the page: plain text in every cell. `note` stands above it, `marked` is the first cell of a row of note."""

    def __init__(
        self, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], note: str = "", marked: str | None = None
    ) -> None:
        self.title = title
        self.headings = headings
        self.rows = rows
        self.note = note
        self.marked = marked


def render_page(
    *,
    run: str,
    status: str,
    facts: Mapping[str, str],
    notes: Sequence[str],
    tables: Sequence[PageTable],
    figures: Sequence[go.Figure],
    config: str,
    rollouts: PackedRollouts | None = None,
) -> str:
    """The whole page. Plotly is in it only where there are figures, the viewer only where there are rollouts."""
    names = (["charts.js"] if figures else []) + (["rollouts.js", "story.js"] if rollouts else [])
    scripts = ([get_plotlyjs()] if figures else []) + [_source(name) for name in names]
    return ENVIRONMENT.get_template("report.html").render(
        run=run,
        status=status,
        facts=facts,
        notes=notes,
        tables=tables,
        figures=_json([json.loads(figure.to_json()) for figure in figures]) if figures else "",
        num_figures=len(figures),
        rollouts=rollouts,
        config=visible(config),
        style=Markup(_source("report.css")),
        scripts=[Markup(script) for script in scripts],
        hashes=[_hash(script) for script in scripts],
    )


def visible(text: str) -> str:
    """Control characters and their like written out, so that nothing unseen is in the page."""
    return "".join(character if character.isprintable() or character in "\n\t" else repr(character)[1:-1] for character in text)


ENVIRONMENT.filters["visible"] = visible


def _source(name: str) -> str:
    assert ENVIRONMENT.loader is not None, "the environment is made with a loader"
    return ENVIRONMENT.loader.get_source(ENVIRONMENT, name)[0]


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _json(value: object) -> Markup:
    """JSON that cannot end the script element in which it stands. Everything in it is ASCII."""
    return Markup(json.dumps(value, separators=(",", ":")).replace("<", "\\u003c"))
