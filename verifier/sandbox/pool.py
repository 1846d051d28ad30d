"""The pool: many programs at once on all fork servers, each run in a fresh child, results in order.

    jobs ─▶ queue per world ─▶ server with a free slot ─▶ child ─▶ ended ─▶ next world, or done
                                      ▲ demoted after DEMOTE_S, killed after timeout_s that it was not kept waiting

A world is a hash seed with a clock of its own. A job runs in its worlds one after another, as long as they agree; the first
that does not end well, or ends otherwise, decides. A slot is taken by a run that is young: one that has run for DEMOTE_S
gives its slot back and goes on at low priority, so that a program that hangs holds nobody up. Time that a run was ready but
had no processor is none of its limit: a verdict must not depend on what else the machine does.

    who waits          for whom                 who wakes it, and when at the latest
    Pool.run           any server's socket      a child's end; the next time that a run is due
    a queued run       a slot of its world      the end or the demotion of a run
    a demoted or       its server's word        LOST_S later the server is ended, and its runs begin anew on another
    a killed run
"""

import select
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from time import monotonic

from configs.errors import UserError
from configs.system_sections import VerifiersSection
from verifier.sandbox.filter import compiled_filter
from verifier.sandbox.host import Ended, Host, Running, ServerLost
from verifier.sandbox.modules import FULL, SMALL, Size, needed_size
from verifier.sandbox.protocol import MAX_TEXT_BYTES, Settings, text_bytes
from verifier.sandbox.results import Result, agree, disagreement, read_result

DEMOTE_S = 0.1
LOST_S = 5.0
MAX_WAIT_S = 3600.0  # the kernel's longest is 24 days
CLOSE_S = 2.0  # for all servers together to end by themselves
PATIENCE = 10  # times timeout_s that a run may take on the clock, where it is kept waiting for a processor
LEAST_S = 0.01  # between two looks at such a run
YOUNG, OLD = 2, 16  # runs of a server at once: in their first DEMOTE_S, and after
MAX_RETRIES = 3
MAX_LOSSES = 5  # times that a job may see its server end before it is told to have caused it
PLAIN_WORLDS = 2  # further ones, asked where a program could depend on chance, also differ in the low bits of addresses
CLOCK_STEP_S = 123 * 86400 + 5 * 3600 + 17 * 60 + 23.456  # another day of the week, hour, minute and second in each world
World = tuple[int, Size]  # hash seed, modules


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A program, the text of its argument list, and the hash seeds under which it must give the same."""

    program: str
    arguments: str
    hash_seeds: tuple[int, ...] = (1,)


@dataclass(slots=True)
class _Progress:
    """Where a job is: how many of its worlds have agreed so far, on what."""

    job: Job
    size: Size
    num_agreed: int = 0
    agreed: Result | None = None
    wall_s: float = 0.0
    losses: int = 0

    @property
    def world(self) -> World:
        return self.job.hash_seeds[self.num_agreed], self.size


class Pool:
    """`section.workers` servers for each world that has been asked for; started on demand, ended by `close`."""

    def __init__(self, section: VerifiersSection) -> None:
        self._section = section
        self._hosts: dict[World, list[Host]] = {}
        self._queues: dict[World, deque[int]] = {}
        self._progress: dict[int, _Progress] = {}
        self._results: dict[int, Result] = {}
        self._next = 0
        self._retries = 0  # of a start; none until a first one has succeeded

    def run(self, jobs: Sequence[Job]) -> list[Result]:
        """Raises UserError when a server cannot be started; never for what a program does."""
        numbers = range(self._next, self._next + len(jobs))
        self._next += len(jobs)
        for number, job in zip(numbers, jobs, strict=True):
            if len(text_bytes(job.program, job.arguments)) > MAX_TEXT_BYTES:
                self._results[number] = Result("error", reason="too_long", detail=f"over {MAX_TEXT_BYTES} bytes")
                continue
            self._progress[number] = _Progress(job, needed_size(job.program, job.arguments))
            self._enqueue(number)
        with ExitStack() as undo:
            undo.callback(self.close)
            while self._progress:
                self._dispatch()
                now = monotonic()
                self._hear()
                self._watch_the_clock(now)
            undo.pop_all()
        return [self._results.pop(number) for number in numbers]

    def walls(self) -> dict[str, bool]:
        """Which of the kernel's walls stand here; starts a server to find out, which proves the first of them."""
        self.run([Job(program="def f(): return 1", arguments="")])
        return {"seccomp": True} | self._hosts[1, "small"][0].walls

    def close(self) -> None:
        """Ends every server. Safe to call again; a later `run` starts them anew."""
        for host in self._all_hosts():
            host.hang_up()
        until = monotonic() + CLOSE_S
        for host in self._all_hosts():
            host.close(grace_s=max(0.0, until - monotonic()))
        for held in (self._hosts, self._queues, self._progress, self._results):
            held.clear()

    def _enqueue(self, number: int) -> None:
        self._queues.setdefault(self._progress[number].world, deque()).append(number)

    def _dispatch(self) -> None:
        for world, queue in self._queues.items():
            while queue and (host := self._free_host(world)) is not None:
                number = queue.popleft()
                job = self._progress[number].job
                try:
                    host.run(number, job.program, job.arguments)
                    host.running[number].due += min(DEMOTE_S, self._section.timeout_s)
                except ServerLost:
                    self._lose(world, host)
                except OSError as error:  # no descriptor is free: wait for a run that ends
                    if not any(each.running for each in self._all_hosts()):
                        raise UserError(f"the sandbox can open no socket ({error.strerror}); raise `ulimit -n`") from error
                    queue.appendleft(number)
                    return

    def _free_host(self, world: World) -> Host | None:
        hosts = self._hosts.setdefault(world, [])
        free = [host for host in hosts if host.num_young < YOUNG and len(host.running) < YOUNG + OLD]
        if free:
            return min(free, key=lambda host: host.num_young)
        if len(hosts) == self._section.workers:
            return None
        hosts.append(self._new_host(world))
        try:
            hosts[-1].start()
        except UserError:  # killed while it started, perhaps: what has started before is tried again
            hosts.pop()
            self._retries -= 1
            if self._retries < 0:
                raise
            return None
        self._retries = MAX_RETRIES
        return hosts[-1]

    def _new_host(self, world: World) -> Host:
        hash_seed, size = world
        settings = Settings(
            modules=SMALL if size == "small" else FULL,
            filter_hex=compiled_filter(),
            clock_offset_s=(hash_seed - 1) * CLOCK_STEP_S,
            scatter=hash_seed > PLAIN_WORLDS,
            timeout_s=self._section.timeout_s,
            memory_bytes=self._section.memory_mb << 20,
            output_bytes=self._section.max_output_kb << 10,
        )
        return Host(hash_seed, settings)

    def _hear(self) -> None:
        """Waits until a run ends or a time comes, and takes what ended."""
        poll = select.poll()
        busy = {host.fileno(): (world, host) for world, hosts in self._hosts.items() for host in hosts if host.running}
        for descriptor in busy:
            poll.register(descriptor, select.POLLIN)
        wait_s = min(max(0.0, self._next_time() - monotonic()), MAX_WAIT_S)
        for descriptor, _ in poll.poll(wait_s * 1000 + 1):
            world, host = busy[descriptor]
            try:
                for ended in host.ended():
                    self._take(ended)
            except ServerLost:
                self._lose(world, host)

    def _next_time(self) -> float:
        times = [run.due for host in self._all_hosts() for run in host.running.values()]
        return min(times, default=monotonic())

    def _watch_the_clock(self, now: float) -> None:
        """`now`: before what there was to hear was heard; a stalled supervisor takes no server for lost that has spoken."""
        for world, hosts in list(self._hosts.items()):
            for host in list(hosts):
                late = [(job, run) for job, run in host.running.items() if run.due <= now]
                try:
                    for job, run in late:
                        self._hurry(host, job, run, now)
                except ServerLost:
                    self._lose(world, host)

    def _hurry(self, host: Host, job: int, run: Running, now: float) -> None:
        if not run.demoted:
            host.demote(job)
            run.due = now + LOST_S
        elif run.killed or not run.process:
            raise ServerLost("it does not end a run that was killed, or is not heard of one that was demoted")
        elif (left_s := self._left_s(run, now)) > 0:
            run.due = now + max(left_s, LEAST_S)
        else:
            host.kill(job)
            run.due = now + LOST_S

    def _left_s(self, run: Running, now: float) -> float:
        """Of a run's limit: what it waited for a processor does not count, up to PATIENCE."""
        limit_s, wall_s = self._section.timeout_s, now - run.started
        left_s = limit_s - wall_s
        return left_s if left_s > 0 else min(left_s + run.waited_s(), PATIENCE * limit_s - wall_s)

    def _take(self, ended: Ended) -> None:
        """The result of a run: of its job too, unless further worlds are to be asked."""
        progress = self._progress[ended.job]
        progress.wall_s += ended.wall_s
        result = read_result(ended, progress.wall_s)
        if progress.agreed is not None and not agree(progress.agreed, result):
            result = disagreement(result)
        progress.num_agreed += 1
        if result.status == "ok" and progress.num_agreed < len(progress.job.hash_seeds):
            progress.agreed = result
            self._enqueue(ended.job)
        else:
            self._done(ended.job, result)

    def _lose(self, world: World, host: Host) -> None:
        """Its runs begin anew on another server; a job that has seen MAX_LOSSES end is taken for the cause."""
        self._hosts[world].remove(host)
        for number in host.close(grace_s=0.0):
            progress = self._progress[number]
            progress.losses += 1
            if progress.losses < MAX_LOSSES:
                self._enqueue(number)
            else:
                self._done(number, Result("error", reason="server_lost", wall_s=progress.wall_s))

    def _done(self, number: int, result: Result) -> None:
        self._results[number] = result
        del self._progress[number]

    def _all_hosts(self) -> list[Host]:
        return [host for hosts in self._hosts.values() for host in hosts]
