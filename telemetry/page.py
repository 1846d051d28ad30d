"""The report's page. Every value goes through Jinja's autoescape: what a model wrote is shown, never interpreted."""

from collections.abc import Mapping, Sequence

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{{ run }}</title>
<style>
 body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1200px; padding: 0 1rem; color: #222 }
 h1 { margin-bottom: 0 } h2 { margin-top: 2rem }
 .lead { color: #666; margin-top: .2rem } .note { background: #fff6dd; padding: .6rem .9rem; border-left: 4px solid #e0b030 }
 table { border-collapse: collapse; margin: .5rem 0 }
 td, th { padding: .25rem .7rem; border-bottom: 1px solid #ddd; text-align: left }
 th { font-weight: 600 } td.number { text-align: right; font-variant-numeric: tabular-nums }
 .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(540px, 1fr)); gap: .5rem }
 .charts > :first-child { grid-column: 1 / -1 }
 pre { background: #f6f6f6; padding: .8rem; overflow-x: auto; white-space: pre-wrap; word-break: break-word }
 td pre { margin: 0; padding: .2rem .4rem; max-width: 34rem }
</style>
{{ plotly }}
</head>
<body>
<h1>{{ run }}</h1>
<p class="lead">{{ status }}{% for name, value in facts.items() %} · {{ name }} {{ value }}{% endfor %}</p>
{% for note in notes %}<p class="note">{{ note }}</p>
{% endfor %}
{% for table in tables %}
<h2>{{ table.title }}</h2>
<table><tr>{% for heading in table.headings %}<th>{{ heading }}</th>{% endfor %}</tr>
{% for row in table.rows %}<tr>
{% for cell in row %}<td{{ '' if loop.first else ' class=number' }}>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table>
{% endfor %}
{% if charts %}<h2>Curves</h2>
<div class="charts">{% for chart in charts %}<div>{{ chart }}</div>
{% endfor %}</div>{% endif %}
{% for table in samples %}
<h2>{{ table.title }}</h2>
<table><tr>{% for heading in table.headings %}<th>{{ heading }}</th>{% endfor %}</tr>
{% for row in table.rows %}<tr>{% for cell in row %}<td><pre>{{ cell }}</pre></td>{% endfor %}</tr>
{% endfor %}</table>
{% endfor %}
{% if config %}<h2>Configuration</h2>
<pre>{{ config }}</pre>{% endif %}
</body>
</html>
"""


class PageTable:
    """A table of the page: plain text in every cell."""

    def __init__(self, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self.title = title
        self.headings = headings
        self.rows = rows


def render_page(
    *,
    run: str,
    status: str,
    facts: Mapping[str, str],
    notes: Sequence[str],
    tables: Sequence[PageTable],
    charts: Sequence[str],
    plotly: str,
    samples: Sequence[PageTable],
    config: str,
) -> str:
    """The whole page. `charts` and `plotly` are HTML that plotly made, whose JSON it escapes; all else is text."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE).render(
        run=run,
        status=status,
        facts=facts,
        notes=notes,
        tables=tables,
        charts=[Markup(chart) for chart in charts],
        plotly=Markup(plotly),
        samples=samples,
        config=config,
    )
