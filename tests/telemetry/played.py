"""Records of a played run with whole stories, many of them, for what reads a run directory. Figures are made up."""

import json
import random
from pathlib import Path

from telemetry.jsonl import JsonlSink
from telemetry.records import AttemptRow, Phase, ProposalRow, StepRecord, TaskRow

KINDS = ("deduction", "abduction", "induction")
VERDICTS = (("right", "ok"), ("wrong", "value"), ("ill_formed", "no_integer"))
REFUSALS = (("refused", "duplicate"), ("refused", "operand_range"), ("bad_format", "syntax"))


def write_played(run_dir: Path, steps: int, tasks: int, attempts: int, hostile: str = "") -> int:
    """A seeding round and `steps` steps of `tasks` stories per kind, each also refused once. Returns the number of rollouts.

    `hostile` is what one proposal and one attempt of the last step say.
    """
    sink = JsonlSink(run_dir)
    records = [_record(0, Phase.SEEDING, 2, 0, "")]
    records += [
        _record(step, Phase.SELF_PLAY, tasks, attempts, hostile if step == steps else "") for step in range(1, steps + 1)
    ]
    for record in records:
        sink.write(record)
    sink.close()
    return sum(len(record.proposals) + len(record.attempts) for record in records)


def _record(step: int, phase: Phase, tasks: int, attempts: int, hostile: str) -> StepRecord:
    rng = random.Random(step)
    proposals: list[ProposalRow] = []
    answers: list[AttemptRow] = []
    stories: list[TaskRow] = []
    for kind in KINDS:
        for number in range(tasks):
            name, program = f"step{step}-{kind}-{number}", f"{rng.randint(0, 99)} {rng.choice('+-*')} {rng.randint(0, 99)}"
            tried = [_attempt(rng, name, step, kind, index, "") for index in range(attempts)]
            rate = sum(row.status == "right" for row in tried) / attempts if attempts else None
            proposals += [_proposal(name, step, kind, program, rate), _refused(rng, f"{name}x", step, kind)]
            answers += tried
            if rate is not None:
                stories.append(_task(name, step, kind, program, rate))
    if hostile:
        proposals.append(_proposal("hostile", step, "deduction", hostile, 0.0))
        answers.append(_attempt(rng, "hostile", step, "deduction", 0, hostile))
        stories.append(_task("hostile", step, "deduction", hostile, 0.0))
    return StepRecord(
        global_step=step, phase=phase, step=max(step, 1), version=step, scalars=_scalars(step), proposals=tuple(proposals),
        attempts=tuple(answers), tasks=tuple(stories),
    )  # fmt: skip


def _proposal(name: str, step: int, kind: str, text: str, rate: float | None) -> ProposalRow:
    reference = f"step{step - 1}-{kind}-0"
    return ProposalRow(
        step=step, version=step, kind=kind, role="propose", proposal_id=name, references=f"seed-{kind}-3 {reference}",
        prompt=f"Tasks so far:\n1 + 1\n2 * 3\nPropose a {kind} task.", text=text, status="admitted", reason="ok",
        solve_rate=rate, reward=None if rate is None else 1 - rate if 0 < rate < 1 else 0.0,
        advantage=None if rate is None else 0.5 - rate,
    )  # fmt: skip


def _refused(rng: random.Random, name: str, step: int, kind: str) -> ProposalRow:
    status, reason = rng.choice(REFUSALS)
    return ProposalRow(
        step=step, version=step, kind=kind, role="propose", proposal_id=name, references="", prompt=f"Propose a {kind} task.",
        text=f"{rng.randint(0, 9)} + + ?", status=status, reason=reason, solve_rate=None, reward=-0.5, advantage=-1.25,
    )  # fmt: skip


def _attempt(rng: random.Random, task: str, step: int, kind: str, index: int, text: str) -> AttemptRow:
    status, reason = rng.choice(VERDICTS)
    return AttemptRow(
        step=step, version=step, kind=kind, role="solve", attempt_id=f"{task}@{step}#{index}", task_id=task,
        prompt=f"Calculate {task}:", text=text or str(rng.randint(0, 999)), status=status, reason=reason,
        reward={"right": 1.0, "wrong": -0.5, "ill_formed": -1.0}[status], advantage=rng.uniform(-2, 2), num_tokens=3,
        truncated=False, mean_logprob=-0.25, trained=index > 0, dropped="" if index else "measuring",
    )  # fmt: skip


def _task(name: str, step: int, kind: str, program: str, rate: float) -> TaskRow:
    return TaskRow(
        step=step, version=step, kind=kind, role="solve", task_id=name, program=program, pairs=json.dumps([["", "12"]]),
        origin="proposed", difficulty=3.0, solve_rate=rate, learnability=1 - rate,
    )  # fmt: skip


def _scalars(step: int) -> dict[str, float]:
    scalars = {f"buffer/{kind}": 32.0 + 2 * step for kind in KINDS}
    for kind in KINDS:
        scalars |= {f"learnability/{kind}": 0.5, f"learnability/{kind}/s0": 2.0, f"learnability/{kind}/s50": 3.0 + step % 4}
        scalars |= {f"difficulty/{kind}": 2 + step / 20, f"reward/{kind}/propose": 0.3, f"valid/{kind}": 0.8}
    accuracy = 0.3 + step / 200
    held_out = {"accuracy": accuracy, "low": accuracy - 0.06, "high": accuracy + 0.06}
    return scalars | {f"eval/deduction/{name}": value for name, value in held_out.items()}
