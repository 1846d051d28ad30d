"""The W&B side of telemetry: one run id for the life of a run, offline unless configured otherwise.

Invariants: W&B's step is `global_step` and strictly grows, also over resumes: steps that W&B has already (it is asked, and
its offline files are read back) are skipped, and those that it lost in a crash are made up from the event files, so that
its history has neither holes nor repeats. A table keeps one name for ever; each interval adds rows to it, and the last
word puts its whole history, made from the event files, into the summary and into one artifact.
Nothing W&B does ends a run: its named failures are counted, the first one is told in one line, and the run goes on.
The event files have everything; W&B has at most `table_rows` rows per table and interval. A server that does not answer
within PROBE_S is not waited for: the run is recorded offline. Does not: keep a slow W&B from slowing the run
(telemetry.wandb_writer).

Offline, every session is a folder of its own under RUN/wandb with the same run id; `wandb sync RUN/wandb/offline-run-*`
makes one run of them. W&B resumes no table state offline, so a session's increments begin anew under the same name.
"""

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import wandb
from pydantic import ValidationError
from wandb.errors import Error as WandbError
from wandb.sdk.lib.service.service_connection import WandbAttachFailedError
from wandb.sdk.lib.service.service_token import WandbServiceConnectionError
from wandb.sdk.mailbox.mailbox import MailboxClosedError
from wandb.sdk.mailbox.mailbox_handle import HandleAbandonedError, ServerResponseError

from configs.schema import RunConfig
from telemetry.jsonl import BEFORE_ALL, COLUMNS, TABLES, folder, read_records, row_dict, rows_of
from telemetry.provenance import git_state
from telemetry.reachable import why_unreachable
from telemetry.records import StepRecord
from telemetry.wandb_log import logged_step

RowT = TypeVar("RowT")
FAILURES = (
    WandbError,
    OSError,
    MailboxClosedError,
    HandleAbandonedError,
    ServerResponseError,
    WandbAttachFailedError,
    WandbServiceConnectionError,
    ValidationError,  # what W&B makes of a server that answers something else
)
NAMES: Mapping[str, str] = {"proposals": "proposals", "attempts": "attempts", "tasks": "tasks", "evals": "eval"}
LOGIN_TIMEOUT_S = 30.0  # where nobody is logged in and nobody answers
PROBE_S = 5.0  # for a server to answer anything at all
# W&B sends statistics about itself to the same server: at the exit of the process, 10 s long where it is silent.
OWN_STATISTICS = "WANDB_ERROR_REPORTING"
SETTINGS: Mapping[str, Any] = {
    "silent": True,
    "console": "off",
    "reinit": "create_new",  # a handle of our own, whatever else in this process uses W&B
    "init_timeout": 30.0,
    "finish_timeout": 60.0,
    "finish_timeout_raises": True,
    "x_transaction_log_flush_interval": 1.0,  # how much of an offline session a crash may cost
}
MAX_INCREMENTS = 100  # W&B shows no more of one incremental table, and each entry lists all those before it


class WandbSink:
    """`warn` takes the one line about a failure. Made after the event files were rewound to the checkpoint."""

    def __init__(self, run_dir: Path, config: RunConfig, *, run_id: str, warn: Callable[[str], None]) -> None:
        self.run_id = run_id
        self.failures = 0
        self.directory = ""
        self._run_dir = run_dir
        self._config, self._section = config, config.telemetry
        self._logged = BEFORE_ALL  # the highest global step that W&B has
        self._warn = warn
        self._tables = _fresh_tables()
        self._run: wandb.Run | None = None

    def open(self) -> None:
        """Starts W&B as configured, or offline where the service cannot be reached; `wandb sync` uploads that later.

        Takes seconds, more where nobody answers. What the event files have by then comes first.
        """
        mode = self._section.wandb
        if mode == "disabled":
            return
        os.environ.setdefault(OWN_STATISTICS, "false")
        with self._tolerant("read its files"):
            self._logged = logged_step(self._run_dir, self.run_id)
        with self._tolerant("start"):
            self._run = self._start(mode)
        if self._run is None and mode == "online":
            with self._tolerant("stop"):
                wandb.teardown()
            with self._tolerant("start offline"):
                self._run = self._start("offline")
        self.catch_up()

    def catch_up(self, until: float = math.inf) -> None:
        """Writes what the event files have and W&B has not, up to and with the global step `until`."""
        for record in read_records(self._run_dir, after=self._logged):
            if record.global_step > until:
                break
            self.write(record)

    def write(self, record: StepRecord) -> None:
        if self._run is None or record.global_step <= self._logged:
            return
        data: dict[str, Any] = {"global_step": record.global_step, "policy_version": record.version}
        data.update(record.scalars)
        for table, rows in self._due_rows(record).items():
            data[NAMES[table]] = self._tables[table].extended(rows)
        with self._tolerant("log"):
            self._run.log(data, step=record.global_step, commit=True)
            self._logged = record.global_step
        if self._logged < record.global_step:
            self._tables = _fresh_tables()  # one that was half logged cannot be added to

    def close(self, status: str, summary: Mapping[str, float]) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        with self._tolerant("log the summary"):
            run.summary.update({**summary, "status": status})
            tables = self._history()
            run.summary.update({NAMES[table]: _table(COLUMNS[table], rows) for table, rows in tables.items() if rows})
            artifact = wandb.Artifact(f"tables-{self.run_id}", type="tables", description="every row that this run logged")
            for table, rows in tables.items():
                artifact.add(_table(COLUMNS[table], rows), NAMES[table])
            run.log_artifact(artifact)
        with self._tolerant("finish"):
            run.finish(exit_code=0 if status == "finished" else 1)
        with self._tolerant("stop"):
            wandb.teardown()  # a service that lives on would drop, in silence, a second session of the same run id

    def _start(self, mode: Literal["online", "offline"]) -> wandb.Run:
        setup = wandb.setup(wandb.Settings(silent=True, login_timeout=LOGIN_TIMEOUT_S))  # login reads only these
        if mode == "online" and (reason := why_unreachable(setup.settings.base_url, PROBE_S)):
            raise WandbError(f"{setup.settings.base_url} does not answer ({reason}); it is recorded offline")
        run = wandb.init(
            dir=str(self._run_dir),
            mode=mode,
            project=self._section.project,
            entity=self._section.entity or None,
            id=self.run_id,
            name=self._run_dir.name,
            notes=self._config.run.notes or None,
            resume="allow",
            config={**self._config.model_dump(mode="json"), **_provenance(self._run_dir)},
            settings=wandb.Settings(**SETTINGS),
        )
        if run.disabled:
            raise WandbError("nobody is logged in")
        if run.resumed:  # online: the server's word
            self._logged = max(self._logged, run.step - 1)
        run.define_metric("global_step")
        run.define_metric("policy_version", step_metric="global_step")
        run.define_metric("*", step_metric="global_step")
        run.define_metric("eval/*", step_metric="policy_version")
        self.directory = str(Path(run.dir).parent)
        return run

    def _history(self) -> dict[str, list[Mapping[str, Any]]]:
        """What W&B got of each table over all sessions, by the same rule, from the event files."""
        kept: dict[str, list[Mapping[str, Any]]] = {table: [] for table in TABLES}
        for record in read_records(self._run_dir):
            for table, rows in self._due_rows(record).items():
                kept[table].extend(rows)
        return kept

    def _due_rows(self, record: StepRecord) -> dict[str, list[Mapping[str, Any]]]:
        limit, every = self._section.table_rows, self._section.tables_every
        return {
            table: [row_dict(table, row, record.global_step) for row in spread(rows, limit)]
            for table, rows in rows_of(record).items()
            if rows and is_due(table, record.step, every)
        }

    @contextmanager
    def _tolerant(self, action: str) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            self.failures += 1
            if self.failures == 1:
                reason = " ".join(str(error).split()) or type(error).__name__
                self._warn(f"W&B could not {action}: {reason}; the run goes on, everything is in {folder(self._run_dir)}")


def _provenance(run_dir: Path) -> dict[str, Any]:
    """`git` and `environment`, as `environment.json` has them; a run without that file tells only the first."""
    path = run_dir / "environment.json"
    if not path.exists():
        return {"git": git_state()}
    facts = json.loads(path.read_text(encoding="utf-8"))
    git = {name: facts.pop(name, "") for name in ("commit", "dirty")}
    return {"git": git, "environment": {name: value for name, value in facts.items() if name != "starts"}}


class _GrowingTable:
    """A W&B table that is logged piece by piece under one name."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._table: wandb.Table | None = None
        self._increments = 0

    def extended(self, rows: Sequence[Mapping[str, Any]]) -> wandb.Table:
        if self._table is None or self._increments == MAX_INCREMENTS:
            self._table = wandb.Table(columns=list(self._columns), log_mode="INCREMENTAL")
            self._increments = 0
        for row in rows:
            self._table.add_data(*(row[column] for column in self._columns))
        self._increments += 1
        return self._table


def _fresh_tables() -> dict[str, _GrowingTable]:
    return {name: _GrowingTable(COLUMNS[name]) for name in TABLES}


def is_due(table: str, step: int, every: int) -> bool:
    """Evaluations are rare and always logged; other rows at a phase's first step and at each `every`-th."""
    return table == "evals" or step <= 1 or step % every == 0


def spread(rows: Sequence[RowT], limit: int) -> list[RowT]:
    """At most `limit` rows, evenly spaced, so that kinds and roles that lie in blocks are all there."""
    count = min(limit, len(rows))
    return [rows[index * len(rows) // count] for index in range(count)]


def _table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> wandb.Table:
    return wandb.Table(columns=list(columns), data=[[row[column] for column in columns] for row in rows])
