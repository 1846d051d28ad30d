"""Jobs that tests of the pool are made of."""

from verifier.sandbox.pool import Job, Pool

ECHO = "def f(x): return x"
HANG = Job(program="def f():\n  while True: pass", arguments="")
SLEEP = Job(program="import time\ndef f(): time.sleep(10 ** 6)", arguments="")
BUSY = "def f(x, n):\n  for i in range(n): pass\n  return x"
BOTH = (1, 2)


def echoes(count: int, **options: tuple[int, ...]) -> list[Job]:
    return [Job(program=ECHO, arguments=str(number), **options) for number in range(count)]


def outputs(pool: Pool, jobs: list[Job]) -> list[str]:
    return [result.output or result.reason for result in pool.run(jobs)]


def numbers(count: int) -> list[str]:
    return [str(number) for number in range(count)]
