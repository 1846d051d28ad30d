"""What a caller hears when Ray has no room left."""

import os
import re
import subprocess
import sys
import textwrap

import pytest

# In a process of its own: a Ray for which every disk is too full to spill to.
FULL_STORE = """
    import logging, sys
    import numpy as np
    import ray
    from actors.deadline import put, wait
    from configs.errors import UserError

    @ray.remote(num_cpus=1)
    class Sender:
        def send(self):
            return [ray.put(np.ones(50 * 2**20, np.uint8)) for _ in range(3)]

    ray.init(
        address="local", num_cpus=1, include_dashboard=False, object_store_memory=80 * 2**20, log_to_driver=False,
        logging_level=logging.ERROR,
    )
    held = []
    def fill():
        for _ in range(3):
            held.append(put(np.ones(50 * 2**20, np.uint8), "the batch of an update"))

    sender = Sender.remote()
    for attempt in (fill, lambda: wait([sender.send.remote()], 200.0, "send", ["azr-learner-0"])):
        try:
            attempt()
        except UserError as error:
            print(error)
        held.clear()
    ray.shutdown()
"""
REMEDY = (
    r"the object store is full, and so is the disk that it spills to \(.+\); raise cluster\.object_store_mib, or free space"
)


@pytest.mark.slow
def test_a_store_and_a_disk_that_are_full_are_one_line_each_with_the_keys_to_raise() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL_STORE)],
        env=os.environ | {"RAY_local_fs_capacity_threshold": "0.0001"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if "object store" in line]
    assert done.returncode == 0, done.stderr
    assert len(lines) == 2, done.stdout + done.stderr
    assert re.match(rf"the batch of an update: {REMEDY}", lines[0])
    assert re.match(rf"azr-learner-0 in send: {REMEDY}", lines[1])
