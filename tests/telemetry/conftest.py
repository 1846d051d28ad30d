"""Records as the loop makes them, small, with text that tries to break whatever shows it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from configs.play_sections import ModelSection, StandInSection
from configs.schema import RunConfig
from configs.system_sections import EvaluationSection, RunSection, TelemetrySection
from telemetry.records import AttemptRow, EvalRow, Phase, ProposalRow, StepRecord, TaskRow

HOSTILE = "<script>alert('1')</script>\n{{ 7 * 7 }} [bold]\u2028\x00 \x1b[2J"
KINDS = ("deduction", "abduction", "induction")


def _rows(step: int) -> tuple[tuple[ProposalRow, ...], tuple[AttemptRow, ...], tuple[TaskRow, ...]]:
    proposals = tuple(
        ProposalRow(
            step=step, version=step, kind=kind, role="propose", proposal_id=f"p{step}-{kind}", references="t u",
            prompt="Propose:", text=HOSTILE, status="refused", reason="syntax", solve_rate=None, reward=-0.5, advantage=None,
        )
        for kind in KINDS
    )  # fmt: skip
    attempts = tuple(
        AttemptRow(
            step=step, version=step, kind=kind, role="solve", attempt_id=f"t@{step}#{index}", task_id="t", prompt="5 + 3 =",
            text="8", status="right", reason="ok", reward=1.0, advantage=0.5, num_tokens=2, truncated=False, mean_logprob=-0.1,
            trained=True,
        )
        for kind in KINDS
        for index in range(2)
    )  # fmt: skip
    task = TaskRow(
        step=step, version=step, kind="deduction", role="propose", task_id="t", program="5 + 3", pairs="[]", origin="proposed",
        difficulty=1.0, solve_rate=0.5, learnability=0.5,
    )  # fmt: skip
    return proposals, attempts, (task,)


def _eval_rows(step: int) -> tuple[EvalRow, ...]:
    return tuple(
        EvalRow(
            step=step, version=step, kind="deduction", role="solve", suite="deduction", item=item, prompt="1 + 1 =", text="2",
            expected="2", right=True,
        )
        for item in range(5)
    )  # fmt: skip


def _scalars(step: int) -> dict[str, float]:
    scalars = {f"reward/{kind}/{role}": 0.1 * step - 0.5 for kind in KINDS for role in ("propose", "solve")}
    for kind in KINDS:
        scalars |= {f"solve_rate/{kind}": 0.4, f"valid/{kind}": 0.9, f"buffer/{kind}": 32.0 + step, f"learnability/{kind}": 0.5}
        scalars |= {f"refusal/{kind}/syntax": 2.0, f"zero_std/{kind}": 0.3, f"duplicate/{kind}": 0.1, f"difficulty/{kind}": 2.0}
    scalars |= {"zero_std": 0.3, "mismatch/max": 1.2e-6, "mismatch/mean": 1e-7, "entropy": 1.1, "grad_norm": 0.7, "lr": 5e-4}
    scalars |= {"time/propose": 0.2, "time/solve": 0.5, "time/update": 0.3, "time/step": 1.01, "time/unattributed": 0.01}
    return scalars | {"tokens/step": 5000.0, "tokens/total": 5000.0 * step, "tokens/per_s": 4950.0}


@pytest.fixture
def make_record() -> Callable[..., StepRecord]:
    def make(global_step: int, phase: Phase = Phase.SELF_PLAY, accuracy: float | None = None) -> StepRecord:
        if phase is Phase.WARM_START:
            scalars = {"warm_start/loss": 2.0 / (1 + global_step), "warm_start/lr": 3e-3}
            return StepRecord(global_step=global_step, phase=phase, step=global_step, version=0, scalars=scalars)
        scalars = _scalars(global_step)
        if accuracy is not None:
            for suite in ("deduction", "abduction"):
                scalars |= {
                    f"eval/{suite}/accuracy": accuracy,
                    f"eval/{suite}/low": accuracy - 0.07,
                    f"eval/{suite}/high": accuracy + 0.07,
                }
        evals = _eval_rows(global_step) if accuracy is not None else ()
        proposals, attempts, tasks = _rows(global_step)
        return StepRecord(
            global_step=global_step, phase=phase, step=global_step, version=global_step, scalars=scalars, evals=evals,
            proposals=proposals, attempts=attempts, tasks=tasks,
        )  # fmt: skip

    return make


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., RunConfig]:
    def make(wandb: str = "disabled", tables_every: int = 2, table_rows: int = 4) -> RunConfig:
        return RunConfig(
            seed=3,
            run=RunSection(root=str(tmp_path), steps=20, notes="a note"),
            model=ModelSection(stand_in=StandInSection(warmup_steps=20)),
            evaluation=EvaluationSection(every=5),
            telemetry=TelemetrySection.model_validate({"wandb": wandb, "tables_every": tables_every, "table_rows": table_rows}),
        )

    return make
