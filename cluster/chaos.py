"""`azr chaos`: runs a configuration while its processes are killed at random, then says what became of it.

    start the run ──▶ its actors are ready ──a random while──▶ kill -9, or stop, one process of a role ──┐
         ▲                    ▲                                                                         │
         │ the same command   └───────────── an actor: the run mends itself ◀───────────────────────────┤
         └───────────────────── the driver was it, or has given up ◀────────────────────────────────────┘

Invariants: only processes below this one are ended (cluster.victims). Which roles, how and after how long is a function of
the seed: each role once a round, in random order. When the time for it is over the run is left alone until it is finished.
The verdict is read from what the run left on disk; processes and shared memory of it are looked for. Its temporary files lie
in a folder of their own, which is removed.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from cluster.console import complain, say, say_json
from cluster.crew import last_line
from cluster.faults import READY, read_faults
from cluster.processes import raise_on_stop_signals, undisturbed
from cluster.victims import DRIVER, ROLES, SANDBOX, adopt_orphans, left_behind, processes_of, segments, unowned, wake
from configs.errors import ConfigError, UserError
from configs.loader import load_config
from configs.schema import RunConfig
from selfplay.audit import FINISHED, Balance, audit
from selfplay.checkpoint import Checkpoints
from telemetry.same_curve import first_difference
from telemetry.status import live_status, read_status

# Before the user's own: what hangs is noticed in a test's time, and nobody is given up for what chaos did.
DEADLINES = ("cluster.call_timeout_s=120", "pipeline.request_timeout_s=120", "cluster.restarts=1000")
HANG, KILL = "hang", "kill"
HANG_SHARE = 0.2
TICK_S = 0.25
STALLED_S = 900.0  # without a step, when nobody is killed any more
FRUITLESS = 3  # drivers in a row that end by themselves before they are ready
STOP_S = 90.0  # for the driver to end when chaos is interrupted


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`every_s`: the mean of the pauses; `kills`: at most so many, 0: no limit; `against`: an undisturbed run of the same."""

    minutes: float
    seed: int
    roles: tuple[str, ...]
    every_s: float
    kills: int
    against: Path | None = None


@dataclass(slots=True, kw_only=True)
class Strike:
    """One process that was hit; `back_s`: how long until its role was back, None where nobody missed it."""

    role: str
    how: str
    at: float
    back_s: float | None = None


@dataclass(slots=True, kw_only=True)
class Outcome:
    strikes: list[Strike] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)  # last words of drivers that ended by themselves, unfinished
    orphans: list[str] = field(default_factory=list)  # processes and shared memory
    temporary: list[str] = field(default_factory=list)  # what libraries cannot remove when they are killed
    ready_at: list[float] = field(default_factory=list)  # when its drivers were


def chaos(config: str, overrides: Sequence[str], plan: Plan, *, as_json: bool) -> int:
    """1 where the run is not finished, its curve is not the undisturbed one, or anything was lost, duplicated or left."""
    unknown = sorted(set(plan.roles) - set(ROLES))
    if unknown:
        raise ConfigError(f"--roles must be of {', '.join(ROLES)}, got {', '.join(unknown)}")
    if plan.against is not None and not (plan.against / "telemetry").is_dir():
        raise UserError(f"--against must be a run directory, got {plan.against}; `azr runs` lists them")
    name = f"chaos-{time.strftime('%Y%m%d-%H%M%S')}-s{plan.seed}"
    given = [*DEADLINES, f"run.name={name}", *overrides, "cluster.address=local"]
    loaded = load_config(config, given)
    raise_on_stop_signals()
    adopt_orphans()
    run_dir, before = Path(loaded.run.root).expanduser() / loaded.run.name, segments()
    scratch = Path(tempfile.mkdtemp(prefix="azr-chaos-"))
    try:
        run = ChaosRun(["train", config, *given], run_dir, scratch, plan)
        run.play()
        outcome = run.outcome
        outcome.orphans += unowned(sorted(segments() - before))
        outcome.temporary = sorted(path.name for path in scratch.iterdir())
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return _tell(loaded, run_dir, plan, outcome, as_json)


class ChaosRun:
    """The run's driver, whichever it is at the time, and what happens to it."""

    def __init__(self, command: Sequence[str], run_dir: Path, scratch: Path, plan: Plan) -> None:
        self._command = [sys.executable, "-m", "cluster.cli", *command]
        self._run_dir, self._plan = run_dir, plan
        self._log = run_dir.with_name(f"{run_dir.name}.log")
        self._environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        self._environment |= {"TMPDIR": str(scratch), "RAY_TMPDIR": str(scratch)}
        self._random = random.Random(plan.seed)
        self._roles = self._in_rounds()
        self._log_begin = self._fruitless = 0
        self._is_ready = False
        self._stopped: list[psutil.Process] = []
        self._progress = (-1, time.monotonic())  # the size of the log of steps, since when
        self.outcome = Outcome()

    def play(self) -> None:
        """Until the run is finished. UserError when it does not get there."""
        self._driver = self._start()
        try:
            going = self._live(0.0)
            ends = time.monotonic() + 60 * self._plan.minutes
            while going and time.monotonic() < ends and not self._enough():
                going = self._live(self._random.uniform(0, 2 * self._plan.every_s))
                if going and self._is_ready:
                    self._strike()
            while going:
                going = self._live(STALLED_S)
        finally:
            self._stop()
        self._measure()

    def _enough(self) -> bool:
        return 0 < self._plan.kills <= len(self.outcome.strikes)

    def _live(self, seconds: float) -> bool:
        """Lets the run go on for so long from when it is ready; False once it is finished."""
        until = float("inf")
        while time.monotonic() < until:
            time.sleep(TICK_S)
            if not self._is_ready and READY.encode() in self._said():
                self._welcome()
            if self._is_ready and until == float("inf"):
                until = time.monotonic() + seconds
            if self._driver.poll() is not None and not self._again():
                return False
            self._watch()
        return True

    def _again(self) -> bool:
        """After the driver's end: the same command, unless it was finished."""
        code = self._driver.returncode
        wake(self._stopped)
        self.outcome.orphans += left_behind()
        if code == 0:
            return False
        if code > 0:  # by itself
            self.outcome.given_up.append(last_line(self._log))
            self._fruitless = 0 if self._is_ready else self._fruitless + 1
            complain(f"the driver ended with exit code {code}: {self.outcome.given_up[-1]}")
            if self._fruitless == FRUITLESS:
                raise UserError(f"the run ended {FRUITLESS} times before it was ready; its log is {self._log}")
        self._driver = self._start()
        return True

    def _start(self) -> subprocess.Popen[bytes]:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._is_ready, self._stopped = False, []
        with self._log.open("ab") as output:
            self._log_begin = output.tell()
            return subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    def _said(self) -> bytes:
        """What this driver has said."""
        with self._log.open("rb") as log:
            log.seek(self._log_begin)
            return log.read()

    def _strike(self) -> None:
        """The next role of the round that has a process now."""
        for role in (next(self._roles) for _ in self._plan.roles):
            how = HANG if self._random.random() < HANG_SHARE and role not in (DRIVER, SANDBOX) else KILL
            with suppress(psutil.NoSuchProcess):
                found = processes_of(role, psutil.Process(self._driver.pid))
                if found:
                    self._hit(role, how, self._random.choice(found))
                    return

    def _hit(self, role: str, how: str, victim: psutil.Process) -> None:
        victim.send_signal(signal.SIGSTOP if how == HANG else signal.SIGKILL)
        self.outcome.strikes.append(Strike(role=role, how=how, at=time.time()))
        if how == HANG:
            self._stopped.append(victim)
        say(f"{len(self.outcome.strikes)}: {how} {role}, process {victim.pid}")

    def _in_rounds(self) -> Iterator[str]:
        while True:
            yield from self._random.sample(self._plan.roles, len(self._plan.roles))

    def _welcome(self) -> None:
        """A driver is ready, and with it all roles."""
        self._is_ready = True
        self.outcome.ready_at.append(time.time())

    def _watch(self) -> None:
        """UserError where the run gets nowhere."""
        steps = self._run_dir / "telemetry" / "steps.jsonl"
        size = steps.stat().st_size if steps.exists() else 0
        if size != self._progress[0]:
            self._progress = (size, time.monotonic())
        elif time.monotonic() - self._progress[1] > STALLED_S:
            raise UserError(f"the run has made no step for {STALLED_S:g} s; its log is {self._log}")

    def _stop(self) -> None:
        """Whatever ended chaos: nothing of the run goes on."""
        with undisturbed():
            if self._driver.poll() is None:
                self._driver.terminate()
                try:
                    self._driver.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    self._driver.kill()
                    self._driver.wait()
            wake(self._stopped)
            self.outcome.orphans += left_behind()

    def _measure(self) -> None:
        """When the struck roles were back: by the run's own log, or with a new driver."""
        back = [fault for fault in read_faults(self._run_dir) if fault["seconds"] is not None]
        for strike in self.outcome.strikes:
            times = [fault["time"] for fault in back if any(who.startswith(f"azr-{strike.role}") for who in fault["who"])]
            later = [moment - strike.at for moment in (*times, *self.outcome.ready_at) if moment > strike.at]
            strike.back_s = min(later, default=None)


def _tell(config: RunConfig, run_dir: Path, plan: Plan, outcome: Outcome, as_json: bool) -> int:
    found = Checkpoints(run_dir, keep=1).newest()
    status = read_status(run_dir)
    assert status is not None, f"{run_dir} has no status after a run"
    balance = audit(run_dir, live_status(status), found[1] if found else None)
    steps = found[1].step if found else 0
    finished = live_status(status) == FINISHED
    differs = first_difference(plan.against, run_dir) if plan.against else ""
    _show(plan, outcome, balance, steps, config.run.steps)
    if plan.against:
        say(f"not the curve of {plan.against}: {differs}" if differs else f"the curve of {plan.against}, bit for bit")
    for orphan in outcome.orphans:
        complain(f"left behind: {orphan}")
    if outcome.temporary:
        say(f"removed from its folder for temporary files: {', '.join(outcome.temporary)}")
    if as_json:
        say_json(
            {
                "steps": steps,
                "kills": dict(Counter(strike.role for strike in outcome.strikes)),
                "hangs": sum(strike.how == HANG for strike in outcome.strikes),
                "recoveries_s": {role: _seconds(outcome, role) for role in plan.roles},
                "given_up": len(outcome.given_up),
                "lost": len(balance.lost),
                "duplicated": len(balance.duplicated),
                "orphans": len(outcome.orphans),
                "finished": finished,
                "differs": differs if plan.against else None,
                "run": str(run_dir),
                "seed": plan.seed,
            }
        )
    return int(not (finished and balance.holds and not outcome.orphans and not differs))


def _show(plan: Plan, outcome: Outcome, balance: Balance, steps: int, asked: int) -> None:
    table = Table("role", "hit", "of them hung", "back", "seconds until it was")
    for role in plan.roles:
        hit = [strike for strike in outcome.strikes if strike.role == role]
        seconds = _seconds(outcome, role)
        hung = sum(strike.how == HANG for strike in hit)
        table.add_row(role, str(len(hit)), str(hung), str(len(seconds)), " ".join(f"{value:.1f}" for value in seconds))
    Console().print(table)
    say(f"{steps} of {asked} steps, {len(outcome.strikes)} hit, {len(outcome.given_up)} times the driver gave up")
    say(f"{len(balance.lost)} lost, {len(balance.duplicated)} duplicated, {len(outcome.orphans)} left behind")


def _seconds(outcome: Outcome, role: str) -> list[float]:
    return [round(strike.back_s, 1) for strike in outcome.strikes if strike.role == role and strike.back_s is not None]
