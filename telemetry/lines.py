"""One global step as text: what the console prints. Pure: records in, lines out.

Values per kind stand in the order in which the family's kinds are configured; what a step did not measure is left out.
"""

from collections.abc import Mapping, Sequence

from telemetry.records import Phase, StepRecord

Scalars = Mapping[str, float]


def legend(kinds: Sequence[str]) -> str:
    """Said once, before the first step line."""
    return f"values per kind in the order {', '.join(kinds)}; reward: proposer / solver"


def step_line(record: StepRecord, kinds: Sequence[str], held_out: tuple[float, float, float] | None) -> str:
    """`step v | reward | solve rate | valid | buffers | staleness | zero-std | mismatch | tokens/s | held-out` in self-play."""
    if record.phase is Phase.WARM_START:
        parts = [f"warm start {record.step}", *_pairs(record.scalars, "warm_start/")]
    elif record.phase is Phase.SEEDING:
        parts = [f"seeding {record.step}", _seeding(record.scalars, kinds), _buffers(record.scalars, kinds)]
    else:
        parts = [f"step {record.step:>4} v{record.version}", *_self_play(record.scalars, kinds)]
    return " | ".join(part for part in (*parts, _held_out(held_out)) if part)


def seconds_line(scalars: Scalars) -> str:
    """`1.02 s: propose 0.20 · solve 0.31 · …`, longest stages first; empty when the step was not timed."""
    if "time/step" not in scalars:
        return ""
    names = {"time/step", "time/unattributed"}
    stages = {
        name.removeprefix("time/"): value for name, value in scalars.items() if name.startswith("time/") and name not in names
    }
    listed = sorted(stages.items(), key=lambda item: -item[1])
    parts = [f"{name} {value:.2f}" for name, value in listed if value >= 0.005]
    if "time/unattributed" in scalars:
        parts.append(f"unattributed {100 * scalars['time/unattributed']:.1f} %")
    return f"{scalars['time/step']:.2f} s: {' · '.join(parts)}"


def held_out_of(scalars: Scalars) -> tuple[float, float, float] | None:
    """Accuracy and interval of the `deduction` suite when this step measured it."""
    values = [scalars.get(f"eval/deduction/{name}") for name in ("accuracy", "low", "high")]
    accuracy, low, high = values
    if accuracy is None:
        return None
    return (accuracy, low if low is not None else accuracy, high if high is not None else accuracy)


def _self_play(scalars: Scalars, kinds: Sequence[str]) -> list[str]:
    proposer = _each(scalars, "reward/{}/propose", kinds, "{:+.2f}")
    solver = _each(scalars, "reward/{}/solve", kinds, "{:+.2f}")
    return [
        f"reward {proposer or '-'} / {solver or '-'}" if proposer or solver else "",
        _percent(scalars, "solve_rate/{}", kinds, "solve rate"),
        _percent(scalars, "valid/{}", kinds, "valid"),
        _buffers(scalars, kinds),
        _one(scalars, "staleness/mean", "staleness {:.1f}"),
        _one(scalars, "zero_std", "zero-std {:.0%}"),
        _one(scalars, "mismatch/max", "mismatch {:.1e}"),
        _one(scalars, "tokens/per_s", "{:,.0f} tokens/s"),
    ]


def _seeding(scalars: Scalars, kinds: Sequence[str]) -> str:
    proposed = _each(scalars, "seeding/{}/proposed", kinds, "{:.0f}")
    generated = _each(scalars, "seeding/{}/generated", kinds, "{:.0f}")
    return f"proposed {proposed or '-'}, generated {generated or '-'}" if proposed or generated else ""


def _buffers(scalars: Scalars, kinds: Sequence[str]) -> str:
    sizes = _each(scalars, "buffer/{}", kinds, "{:.0f}")
    return f"buffers {sizes}" if sizes else ""


def _percent(scalars: Scalars, name: str, kinds: Sequence[str], label: str) -> str:
    values = [scalars.get(name.format(kind)) for kind in kinds]
    if all(value is None for value in values):
        return ""
    return f"{label} {' '.join('-' if value is None else f'{100 * value:.0f}' for value in values)} %"


def _each(scalars: Scalars, name: str, kinds: Sequence[str], form: str) -> str:
    values = [scalars.get(name.format(kind)) for kind in kinds]
    if all(value is None for value in values):
        return ""
    return " ".join("-" if value is None else form.format(value) for value in values)


def _one(scalars: Scalars, name: str, form: str) -> str:
    return form.format(scalars[name]) if name in scalars else ""


def _pairs(scalars: Scalars, prefix: str) -> list[str]:
    return [f"{name.removeprefix(prefix)} {value:.4g}" for name, value in scalars.items() if name.startswith(prefix)]


def _held_out(measured: tuple[float, float, float] | None) -> str:
    if measured is None:
        return ""
    accuracy, low, high = measured
    return f"held-out {100 * accuracy:.1f} % [{100 * low:.0f}-{100 * high:.0f}]"
