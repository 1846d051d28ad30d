import time
from ast import literal_eval
from collections.abc import Iterator

import pytest

from configs.system_sections import VerifiersSection
from verifier.sandbox.pool import CLOCK_STEP_S, Job, Pool

TELLERS = {
    *("time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime", "gmtime", "localtime"),
    *("time_ns", "monotonic_ns", "perf_counter_ns", "process_time_ns", "thread_time_ns", "clock_gettime_ns"),
    *("ctime", "asctime", "strftime"),
}
CONVERTERS = {"mktime", "strptime", "sleep", "tzset", "get_clock_info", "clock_getres", "struct_time"}
PRIVILEGED = {"clock_settime", "clock_settime_ns", "pthread_getcpuclockid"}


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    pool = Pool(VerifiersSection(timeout_s=20))
    yield pool
    pool.close()


def in_world(pool: Pool, seed: int, expression: str) -> str:
    program = f"from datetime import *\nimport time, calendar\ndef f(): return {expression}"
    [result] = pool.run([Job(program=program, arguments="", hash_seeds=(seed,))])
    assert (result.status, result.detail) == ("ok", "")
    return result.output


def test_every_function_of_the_module_is_known_to_tell_the_time_or_not() -> None:
    """A new one that tells it would be a clock that is the same in all worlds."""
    assert {name for name in vars(time) if callable(vars(time)[name]) and name[0] != "_"} == TELLERS | CONVERTERS | PRIVILEGED


@pytest.mark.parametrize(
    ("expression", "unit_s"),
    [
        *((f"time.{name}()", 1.0) for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time")),
        *((f"time.{name}_ns()", 1e-9) for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time")),
        *((f"time.clock_gettime(time.{name})", 1.0) for name in ("CLOCK_REALTIME", "CLOCK_MONOTONIC", "CLOCK_BOOTTIME")),
        ("time.clock_gettime_ns(time.CLOCK_TAI)", 1e-9),
        ("calendar.timegm(time.gmtime())", 1.0),
        ("calendar.timegm(time.gmtime(None))", 1.0),
        ("calendar.timegm(time.localtime())", 1.0),
        ("time.mktime(time.localtime(None))", 1.0),
        ("calendar.timegm(time.strptime(time.ctime()))", 1.0),
        ("calendar.timegm(time.strptime(time.asctime()))", 1.0),
        ("calendar.timegm(time.strptime(time.strftime('%c'), '%c'))", 1.0),
        ("datetime.now().timestamp()", 1.0),
        ("datetime.now(timezone.utc).timestamp()", 1.0),
        ("datetime.utcnow().timestamp()", 1.0),
        ("datetime.today().timestamp()", 1.0),
        ("date.today().toordinal()", 86400.0),
        ("(lambda now=datetime.now: now().timestamp())()", 1.0),
    ],
)
def test_another_world_has_another_time_by_every_function(pool: Pool, expression: str, unit_s: float) -> None:
    first, second = (literal_eval(in_world(pool, seed, expression)) * unit_s for seed in (1, 2))
    assert second - first == pytest.approx(CLOCK_STEP_S, abs=max(5.0, unit_s))


@pytest.mark.parametrize(
    "expression",
    [
        *(f"datetime.now().{part}" for part in ("month", "day", "hour", "minute", "second")),
        "date.today().weekday()",
        "time.localtime().tm_hour",
        "time.gmtime().tm_yday",
        "time.strftime('%A')",
        "time.ctime()[:3]",
        "int(time.time())",
        "int(time.time()) % 10",
        "time.monotonic_ns() // 10 ** 10",
        "datetime.now() < datetime.fromtimestamp(float('%d'))",
    ],
)
def test_no_part_of_the_time_looks_the_same_in_two_worlds(pool: Pool, expression: str) -> None:
    """As a rule: a part that moves while the two are asked may meet itself by chance, so there are three worlds."""
    expression = expression.replace("%d", str(int(time.time() + CLOCK_STEP_S / 2)))
    program = f"from datetime import *\nimport time\ndef f(): return {expression}"
    [result] = pool.run([Job(program=program, arguments="", hash_seeds=(1, 2, 3))])
    assert result.status == "nondeterministic"


@pytest.mark.parametrize(
    "expression",
    [
        "time.gmtime(0)[:6], time.localtime(86400)[:9], time.gmtime(1e9)[:6], time.gmtime(-1)[:6]",
        "time.ctime(0), time.asctime(time.gmtime(0)), time.asctime((2020, 1, 2, 3, 4, 5, 3, 2, 0))",
        "time.strftime('%Y-%m-%d %H:%M:%S %j %U %a %Z', time.gmtime(12345678))",
        "time.mktime((2020, 1, 2, 3, 4, 5, 3, 2, 0)), time.timezone, time.tzname, time.daylight",
        "time.strptime('2 Jan 2020', '%d %b %Y')[:8]",
        "str(datetime(2020, 2, 29) + timedelta(days=365, hours=5.5, microseconds=3))",
        "repr(datetime(2020, 1, 2, 3, tzinfo=timezone(timedelta(hours=-3)))), repr(timedelta(-1, 5)), repr(date.max)",
        "repr(datetime.min.time()), str(datetime.max), datetime.resolution.microseconds",
        "datetime.fromtimestamp(1e9).isoformat(), datetime.utcfromtimestamp(0.25).isoformat()",
        "datetime.fromisoformat('2020-01-02T03:04:05+02:00').timestamp(), date.fromisoformat('2020-W10-3').isoformat()",
        "datetime.strptime('2020-01-02', '%Y-%m-%d').strftime('%A %d %B'), f'{date(2020, 1, 2):%d/%m/%y}'",
        "(date(2020, 3, 1) - date(2020, 2, 1)).days, date(2020, 1, 1).isocalendar()[:3], date(2020, 1, 1).timetuple()[:9]",
        "calendar.monthrange(2024, 2), calendar.isleap(1900), calendar.month(2020, 2), calendar.timegm((1970, 1, 2, 0, 0, 0))",
        "timedelta(seconds=1.5) / timedelta(milliseconds=10), timedelta(days=1) // 7 == timedelta(0), (-timedelta(1)).seconds",
        "sorted([date(2021, 1, 1), date(2020, 1, 1)])[0].year, max(datetime.min, datetime.max).year, date(2020, 5, 6) == 3",
        "date(2020, 1, 31).replace(day=1).ctime(), datetime.combine(date(2020, 1, 1), datetime.min.time()).isoformat(' ')",
    ],
)
def test_arithmetic_on_given_times_is_the_same_in_all_worlds(pool: Pool, expression: str) -> None:
    """The C and the Python `datetime` give the same."""
    worlds = {in_world(pool, seed, expression) for seed in (1, 2, 3)}
    assert len(worlds) == 1


@pytest.mark.parametrize(
    "call", ["date(2020, 13, 1)", "datetime(1, 1, 1) - timedelta(1)", "date.fromisoformat('x')", "time.gmtime('a')"]
)
def test_what_raises_raises_the_same_in_all_worlds(pool: Pool, call: str) -> None:
    program = f"from datetime import *\nimport time\ndef f(): return {call}"
    results = pool.run([Job(program=program, arguments="", hash_seeds=(seed,)) for seed in (1, 2)])
    assert [result.status for result in results] == ["error", "error"]
    assert len({result.reason for result in results}) == 1


def test_measuring_how_long_something_took_works_and_is_not_negative(pool: Pool) -> None:
    for expression in ("(lambda a: time.sleep(0.05) or time.perf_counter() - a)(time.perf_counter())",):
        for seed in (1, 2):
            assert 0.04 < literal_eval(in_world(pool, seed, expression)) < 5
