"""The red-team suite: after each attack the sandbox is as it was."""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.verify import verify_file
from tests.verifier.attacks.arena import SPARE_DESCRIPTORS, Arena, arena, section
from tests.verifier.attacks.case import MARK, Attack
from tests.verifier.attacks.privileges import become_ordinary, lose_walls, run_apart
from tests.verifier.attacks.suite import AT_THE_WALLS, ATTACKS, CHANCE, ENDLESS, QUICK

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture(scope="module")
def one_worker() -> Iterator[Arena]:
    os.environ["AZR_SECRET_OF_THE_SUPERVISOR"] = "azr_secret_of_the_supervisor"
    try:
        with arena() as found:
            yield found
    finally:
        del os.environ["AZR_SECRET_OF_THE_SUPERVISOR"]


@pytest.mark.parametrize("attack", QUICK, ids=lambda attack: attack.title)
def test_an_attack_has_its_outcome_and_leaves_nothing_behind(one_worker: Arena, attack: Attack) -> None:
    assert not one_worker.run([attack])


@pytest.mark.slow
def test_attacks_without_end_are_killed_at_their_time_and_leave_nothing_behind(one_worker: Arena) -> None:
    assert not one_worker.run(ENDLESS)


@pytest.mark.slow
def test_outputs_by_chance_are_refused_and_stable_ones_are_not(one_worker: Arena) -> None:
    assert not one_worker.run(CHANCE)


@pytest.mark.slow
def test_attacks_side_by_side_do_not_reach_each_other(one_worker: Arena) -> None:
    assert not one_worker.run(QUICK)


@pytest.mark.slow
def test_the_command_answers_every_attack_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "attacks.jsonl"
    lines = [{"id": attack.title, "program": attack.program, "input": attack.input} for attack in ATTACKS]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert verify_file(path, section(workers=2), check=False) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["id"] for answer in answers] == [attack.title for attack in ATTACKS]
    wrong = [
        (answer["id"], answer["status"], answer["output"], answer["reason"])
        for attack, answer in zip(ATTACKS, answers, strict=True)
        if answer["status"] not in attack.statuses
        or (attack.output is not None and answer["output"] not in (attack.output, None))
    ]
    assert not wrong


@pytest.mark.slow
@as_root
def test_attacks_fail_where_the_sandbox_belongs_to_an_ordinary_user() -> None:
    walls = _hold_apart(become_ordinary)
    assert walls["seccomp"]
    assert walls["no_new_privileges"]


@pytest.mark.slow
@as_root
@pytest.mark.parametrize("steps", [(lose_walls,), (become_ordinary, lose_walls)], ids=["root", "ordinary user"])
def test_attacks_fail_where_the_kernel_gives_no_wall_but_seccomp(steps: tuple[Callable[[], None], ...]) -> None:
    walls = _hold_apart(*steps)
    assert walls["seccomp"]
    assert not walls["namespaces"]
    assert not walls["landlock"]


def _hold_apart(*steps: Callable[[], None]) -> dict[str, bool]:
    """Attacks in a process with other privileges; returns the walls that stood there."""

    def work() -> object:
        with arena(chance=False) as found:
            return found.run(AT_THE_WALLS), found.executor.walls()

    wrong, walls = run_apart(steps, work)
    assert not wrong
    return dict(walls)


def test_what_an_attack_would_leave_behind_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with arena(chance=False) as found:
        assert not found.residue()
        monkeypatch.chdir(tmp_path)
        (tmp_path / MARK).touch()
        left = subprocess.Popen(["sleep", "60"])
        descriptors = [os.open("/", os.O_RDONLY) for _ in range(SPARE_DESCRIPTORS + 1)]
        try:
            residue = " ".join(found.residue())
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
            left.kill()
            left.wait()
        assert "sleep" in residue
        assert MARK in residue
        assert "descriptors" in residue


def test_there_are_more_than_a_hundred_attacks_each_with_its_own_name() -> None:
    names = Counter(attack.title for attack in ATTACKS)
    assert len(names) > 130
    assert max(names.values()) == 1
