"""`azr replay`: makes the updates of an asynchronous run again, in the recorded order, and compares the weights after each.

The learner runs in this process, on one rank, from the run's initial weights or from one of its checkpoints. Writes nothing
into the run directory. Exit code 1 at the first update that differs, which it names.
"""

from contextlib import closing
from pathlib import Path

from cluster.console import complain, say, say_json
from configs.errors import ConfigError, UserError
from configs.loader import load_config
from configs.schema import RunConfig
from selfplay.checkpoint import RunState, read_state
from selfplay.pipeline.events import EventLog
from selfplay.pipeline.replay import Replayed, replay
from selfplay.protocols import Learner
from selfplay.warm_start import model_path, prepare_model
from tasks.family import load_family
from verifier.verifier import FamilyVerifier


def replay_run(run_dir: Path, checkpoint: str, *, as_json: bool) -> int:
    """`checkpoint`: its name (step-000050); empty: from the beginning. Prints the verdict; the exit code."""
    if not (run_dir / "config.yaml").is_file():
        raise UserError(f"{run_dir} is not a run directory (no config.yaml); `azr runs` lists them")
    config = load_config(str(run_dir / "config.yaml"))
    state = _state(run_dir, checkpoint)
    learner = _learner(config)
    if checkpoint:
        learner.load((run_dir / "checkpoints" / checkpoint).absolute())
    updates = replay(config, learner, EventLog(run_dir), after=state.step, baselines=state.baselines)
    num_equal, differs = 0, None
    for update in updates:
        if not update.agrees:
            differs = update
            break
        num_equal += update.step > state.step
    _tell(run_dir, state.step, num_equal, differs)
    if as_json:
        say_json({"from_step": state.step, "equal": num_equal, "differs_at": differs.step if differs else None})
    return int(differs is not None)


def _state(run_dir: Path, checkpoint: str) -> RunState:
    if not checkpoint:
        return RunState()
    folder = run_dir / "checkpoints" / checkpoint
    if not folder.is_dir():
        names = ", ".join(sorted(path.name for path in (run_dir / "checkpoints").glob("step-*"))) or "none"
        raise ConfigError(f"--checkpoint must be one of the run's ({names}), got {checkpoint}")
    return read_state(folder)


def _learner(config: RunConfig) -> Learner:
    """With the initial weights: those of the stand-in are made again where they are no longer kept."""
    from learner.learner import Learner as InProcess

    if config.learner.world_size != 1:
        raise UserError(
            f"a replay runs on one learner rank, the run had learner.world_size={config.learner.world_size}; sums over ranks "
            "are rounded otherwise, so that it could not agree to the bit"
        )
    section = config.family
    family = load_family(section.name, section.options)
    with closing(FamilyVerifier(section.name, section.options, config.verifiers)) as verifier:
        for _ in prepare_model(config, family, verifier):
            pass
    path = model_path(config, family)
    return InProcess(path, config.learner, dtype=config.model.dtype, seed=config.seed)


def _tell(run_dir: Path, after: int, num_equal: int, differs: Replayed | None) -> None:
    if differs is None:
        say(f"{run_dir}: all {num_equal} updates after step {after} give the recorded weights")
        return
    what = "weights" if differs.rewards_agree else "rewards"
    where = f"the weights after step {after}, where the replay begins," if differs.step == after else f"update {differs.step}"
    complain(
        f"{run_dir}: {num_equal} updates agree; {where} differ in their {what} (recorded {differs.recorded}, now "
        f"{differs.replayed}); the same code, library versions, kind of machine and learner.threads are needed"
    )
