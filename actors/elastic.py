"""N streaming generators behind one StreamingGenerator; N may change while they are used.

    join   room for its bundle ──▶ a fleet of one actor: started ──▶ newest weights, fingerprint checked ──▶ the router
    leave  the router retires it ──▶ its process ends ──▶ its bundle is given back

Invariant: after `close`, no process is left of any that ever joined. Each generator is a fleet of its own, so that one that
dies is made anew in its place, and one that leaves takes nobody along. How many there should be is decided by
`selfplay.pipeline.scaling`, who gets which request by the router.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from math import inf
from typing import Any

from actors.deadline import ActorLost, answer, wait
from actors.fleet import Berth, Fleet, Life
from actors.mending import NONE, Fault, Mending
from actors.placement import Room, Slot
from actors.proxies import Remote
from actors.streaming import StreamingGeneratorActor, StreamingProxy
from configs.errors import UserError
from configs.play_sections import ModelSection
from configs.system_sections import GeneratorsSection, PipelineSection
from learner.weights import Publication
from selfplay.pipeline.protocols import GeneratorDied, Health
from selfplay.pipeline.router import Router
from selfplay.pipeline.scaling import Orders, Scaling, Waits
from tasks.records import Request, Rollout
from telemetry.records import Span

GRACE_S = 30.0  # for a generator that leaves to finish what it has begun
LOOK_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How generators join and leave during a run."""

    room: Room
    orders: Orders
    berth: Callable[[int, Slot], Berth]  # of a generator by its number
    slots: Sequence[Slot]  # of the first ones
    default: int  # how many the configuration asks for
    placement_timeout_s: float  # after which who waits for room says so
    start_timeout_s: float


@dataclass(slots=True)
class Member:
    """One generator: its bundle, then also its actor."""

    name: str
    slot: Slot | None
    fleet: Fleet | None = None
    starting: Any = None  # the reference to its answer


class RemoteStreaming(Remote):
    """Ready like the other parts, then used from one event loop. Without `growth` their number is fixed."""

    def __init__(
        self,
        model_path: str,
        generators: GeneratorsSection,
        model: ModelSection,
        pipeline: PipelineSection,
        *,
        berths: Sequence[Berth],
        run: str,
        call_timeout_s: float,
        mending: Mending = NONE,
        growth: Growth | None = None,
    ) -> None:
        self._start = (model_path, generators, model, pipeline.swap, call_timeout_s)
        self._run, self._call_timeout_s, self._mending, self._growth = run, call_timeout_s, mending, growth
        self._joined = count(1)
        self._members: dict[int, Member] = {}
        self._router = Router({}, pipeline)
        try:
            for number, berth in enumerate(berths):
                self._members[number] = Member(berth.name, growth.slots[number] if growth else None)
                self._router.add(berth.name, self._begun(self._members[number], berth, run))
        except BaseException:
            self.close()
            raise

    def ready(self, timeout_s: float) -> list[int]:
        members = list(self._members.values())
        return [int(pid) for pid in wait([one.starting for one in members], timeout_s, "start", [one.name for one in members])]

    def take_busy(self) -> list[tuple[str, Span]]:
        return []  # they are always

    def close(self) -> None:
        fleets = [member.fleet for member in self._members.values() if member.fleet is not None]
        self._members.clear()
        if fleets:
            with ThreadPoolExecutor(len(fleets)) as threads:
                list(threads.map(Fleet.close, fleets))

    def submit(self, request: Request, oldest: int) -> asyncio.Future[Rollout]:
        return self._router.submit(request, oldest)

    def load(self, publication: Publication) -> None:
        self._router.load(publication)

    def health(self) -> Sequence[Health]:
        return self._router.health()

    async def serve(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._router.serve())
            if self._growth is not None:
                scaling = Scaling(self, self._growth.orders, len(self._members), self._growth.default)
                group.create_task(scaling.run())

    def name(self, number: int) -> str:
        return f"azr-generator-{number}"

    async def join(self, number: int, waits: Waits) -> int:
        growth, name = self._grown(), self.name(number)
        slot = growth.room.ask(name)
        member = self._members[number] = Member(name, slot)
        await self._placed(number, slot, waits)
        version = -1
        try:  # Ray gives the name of one that has ended free later than it tells its end: hence the number
            proxy = self._begun(member, growth.berth(number, slot), f"{self._run}+{next(self._joined)}")
            await answer(member.starting, growth.start_timeout_s, "start", name)
            if self._router.newest is not None:
                version = await proxy.take(self._router.newest, self._call_timeout_s)
        except (UserError, GeneratorDied) as error:
            await self._end(number)
            raise UserError(str(error)) from error
        self._router.add(name, proxy)
        return version

    async def leave(self, number: int) -> int:
        name = self.name(number)
        known = name in {item.name for item in self._router.health()}
        left = await self._router.retire(name, GRACE_S) if known else 0
        await self._end(number)
        return left

    def gone(self) -> set[int]:
        gone = self._router.gone()
        return {number for number, member in self._members.items() if member.name in gone}

    async def doomed(self) -> set[int]:
        numbers = [number for number, member in self._members.items() if member.fleet is not None]
        slots = [slot for number in numbers if (slot := self._members[number].slot) is not None]
        doomed = await asyncio.to_thread(self._grown().room.doomed, slots)
        return {number for number, leaves in zip(numbers, doomed, strict=True) if leaves}

    async def _placed(self, number: int, slot: Slot, waits: Waits) -> None:
        growth, loop = self._grown(), asyncio.get_running_loop()
        says_at = loop.time() + growth.placement_timeout_s
        while not await asyncio.to_thread(growth.room.is_placed, slot, LOOK_S):
            if loop.time() >= says_at:
                waits(number, growth.room.missing())
                says_at = inf

    async def _end(self, number: int) -> None:
        member = self._members[number]
        if member.fleet is not None:
            await asyncio.to_thread(member.fleet.close)
        if member.slot is not None:
            self._grown().room.give_back(member.slot)
        del self._members[number]

    def _begun(self, member: Member, berth: Berth, run: str) -> StreamingProxy:
        """Its actor, which is asked to start."""
        life = Life(begin=self._begin, mending=self._mending)
        fleet = member.fleet = Fleet(StreamingGeneratorActor, [berth], run, self._call_timeout_s, life=life)
        (member.starting,) = self._begin(fleet, [0])

        def anew(lost: ActorLost) -> Any:
            return self._anew(fleet, lost)

        return StreamingProxy(fleet.handles()[berth.name], berth.name, anew)

    def _begin(self, fleet: Fleet, whom: Sequence[int]) -> list[Any]:
        return fleet.submit("start", [self._start] * len(whom), whom)

    def _anew(self, fleet: Fleet, lost: ActorLost) -> Any:
        name = lost.who[0]
        try:
            fleet.mend(lost, list(fleet.handles().values()))
        except ActorLost as final:
            self._mending.told(Fault(who=(name,), line=f"{name} {final.why or final}; it is gone for good, the others go on"))
            raise GeneratorDied(name) from final
        return fleet.handles()[name]

    def _grown(self) -> Growth:
        assert self._growth is not None, "the number of generators is fixed"
        return self._growth
