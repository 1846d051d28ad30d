"""The table of an experiment: Markdown for people, one object for programs. Pure text from figures.

Shares are per cent in the Markdown and shares in the object. What an arm does not have is an empty cell, or is absent.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from telemetry.arms import ArmFigures, Head, SuiteFigures
from telemetry.markdown import markdown_table
from telemetry.page import PageTable
from telemetry.paired import Estimate

SHORT, OWN_START, OWN_ITEMS = "*", "†", "‡"
NOTES = {
    SHORT: "a run ended with fewer tokens than the budget",
    OWN_START: "starts from another model than the baseline: compare its rise, not its accuracy",
    OWN_ITEMS: "was asked further items; only those that all arms were asked count",
}
Kinds = Mapping[str, float]


def arms_markdown(head: Head, arms: Sequence[ArmFigures]) -> str:
    """The whole of table.md."""
    lines = [f"# {head.name}", "", head.question, "", facts_line(head), ""]
    for table in arms_tables(head, arms):
        lines += [f"## {table.title}", "", *_rows(table), ""]
    return "\n".join([*lines, *(f"{note}  " for note in notes(head, arms))]).rstrip() + "\n"


def arms_tables(head: Head, arms: Sequence[ArmFigures]) -> list[PageTable]:
    """The ranking suite first, then the other suites, then the figures of proposals and buffers."""
    tables = [_ranking(head, arms), _others(head, arms), _play(arms)]
    return [table for table in tables if table.rows]


def arms_json(head: Head, arms: Sequence[ArmFigures]) -> dict[str, object]:
    """The whole of table.json."""
    named = {name: value for name, value in asdict(head).items() if name != "text"}
    return {"experiment": named, "arms": {arm.runs.arm: _arm_json(head, arm) for arm in arms}}


def facts_line(head: Head) -> str:
    return (
        f"Base `{head.base}`, {head.token_budget:,} tokens of self-play in each run. Held-out accuracy is greedy, the mean "
        "over seeds; intervals are 95 %, by bootstrap over items and seeds."
    )


def notes(head: Head, arms: Sequence[ArmFigures]) -> list[str]:
    """The signs that occur in the tables, explained, and what is not there yet."""
    marks = "".join(_marks(head, arm) for arm in arms)
    missing = sum(len(arm.runs.seeds) - len(arm.by_seed) for arm in arms)
    unfinished = [f"{missing} runs are not finished; they are left out."] if missing else []
    return [*(f"{sign} {text}." for sign, text in NOTES.items() if sign in marks), *unfinished]


def _ranking(head: Head, arms: Sequence[ArmFigures]) -> PageTable:
    headings = (
        "arm", "seeds", "before", "after", "rise", "smallest rise", f"after − {head.baseline}", "tokens", "seconds"
    )  # fmt: skip
    rows = [_ranking_row(head, arm) for arm in arms]
    return PageTable(f"Held-out {head.suite}, %", headings, rows)


def _ranking_row(head: Head, arm: ArmFigures) -> list[str]:
    suite = arm.suites.get(head.suite)
    return [
        _named(head, arm),
        f"{len(arm.by_seed)}/{len(arm.runs.seeds)}",
        *((_share(suite.before), _share(suite.after), _points(suite.rise)) if suite else ("", "", "")),
        f"{100 * min(after - before for before, after in suite.by_seed.values()):+.1f}" if suite else "",
        _points(suite.difference) if suite and suite.difference else "",
        _number(arm.tokens, "{:,.0f}"),
        _number(arm.seconds, "{:,.0f}"),
    ]


def _others(head: Head, arms: Sequence[ArmFigures]) -> PageTable:
    suites = [suite for suite in dict.fromkeys(name for arm in arms for name in arm.suites) if suite != head.suite]
    rows = [[_named(head, arm), *(_before_after(arm.suites.get(suite)) for suite in suites)] for arm in arms]
    return PageTable("The other suites, before → after, %", ("arm", *suites), rows if suites else [])


def _play(arms: Sequence[ArmFigures]) -> PageTable:
    kinds = list(dict.fromkeys(kind for arm in arms for name in ("valid", "growth", "entropy") for kind in arm.mean(name)))
    columns: dict[str, Callable[[ArmFigures], str]] = {
        "valid at the end, %": lambda arm: _each(arm.mean("valid"), kinds, "{:.0f}", 100),
        "buffers grew ×": lambda arm: _each(arm.mean("growth"), kinds, "{:.1f}"),
        "entropy of new tasks, end / seeds": lambda arm: _each(arm.mean("entropy"), kinds, "{:.2f}"),
        "proposer's reward": lambda arm: _each(arm.mean("reward"), kinds, "{:+.2f}"),
        "tasks without a signal at the end, %": lambda arm: _number(arm.zero_std, "{:.0f}", 100),
    }
    rows = [[arm.runs.arm, *(cell(arm) for cell in columns.values())] for arm in arms if arm.by_seed]
    order = f" ({' / '.join(kinds)})" if kinds else ""
    return PageTable(f"Proposals and buffers{order}", ("arm", *columns), rows)


def _arm_json(head: Head, arm: ArmFigures) -> dict[str, object]:
    return {
        "seeds": list(arm.runs.seeds),
        "done": sorted(arm.by_seed),
        "own_start": arm.runs.own_start,
        "short": arm.is_short(head.token_budget),
        "tokens": arm.tokens,
        "seconds": arm.seconds,
        "suites": {name: _suite_json(suite) for name, suite in arm.suites.items()},
        "valid": arm.mean("valid"),
        "growth": arm.mean("growth"),
        "entropy": arm.mean("entropy"),
        "proposer_reward": arm.mean("reward"),
        "zero_std": arm.zero_std,
    }


def _suite_json(suite: SuiteFigures) -> dict[str, object]:
    estimates = {name: asdict(getattr(suite, name)) for name in ("before", "after", "rise")}
    by_seed = {str(seed): {"before": before, "after": after} for seed, (before, after) in sorted(suite.by_seed.items())}
    difference = asdict(suite.difference) if suite.difference else None
    items = {"items": suite.num_items, "items_left_out": suite.num_left_out}
    return {**items, **estimates, "difference": difference, "by_seed": by_seed}


def _rows(table: PageTable) -> list[str]:
    return markdown_table(table.headings, table.rows).splitlines()


def _marks(head: Head, arm: ArmFigures) -> str:
    suite = arm.suites.get(head.suite)
    signs = {
        SHORT: arm.is_short(head.token_budget),
        OWN_START: arm.runs.own_start,
        OWN_ITEMS: suite is not None and suite.num_left_out > 0,
    }
    return "".join(sign for sign, holds in signs.items() if holds)


def _named(head: Head, arm: ArmFigures) -> str:
    return f"{arm.runs.arm} {_marks(head, arm)}".rstrip()


def _share(estimate: Estimate) -> str:
    return f"{100 * estimate.mean:.1f} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def _points(estimate: Estimate) -> str:
    return f"{100 * estimate.mean:+.1f} [{100 * estimate.low:+.1f}, {100 * estimate.high:+.1f}]"


def _before_after(suite: SuiteFigures | None) -> str:
    return f"{100 * suite.before.mean:.1f} → {_share(suite.after)}" if suite else ""


def _each(values: Kinds, kinds: Sequence[str], form: str, scale: float = 1) -> str:
    return " / ".join(form.format(scale * values[kind]) if kind in values else "-" for kind in kinds) if values else ""


def _number(value: float | None, form: str, scale: float = 1) -> str:
    return "" if value is None else form.format(scale * value)
