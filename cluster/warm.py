"""`azr warm-start`: makes the warm-started model of a configuration where the cache has none, and nothing else.

A run makes it itself when it has to; this is for runs that start together and are to share one.
"""

from contextlib import closing

from transformers.utils.logging import disable_progress_bar

from cluster.console import say
from cluster.crash import crash_log
from cluster.processes import raise_on_stop_signals
from configs.schema import RunConfig
from selfplay.warm_start import model_path, prepare_model, uses_stand_in
from tasks.family import load_family
from verifier.verifier import FamilyVerifier

TOLD_STEPS = 10


def make_model(config: RunConfig) -> None:
    """Says where the model is. ConfigError when the configuration names none that could be made."""
    family = load_family(config.family.name, config.family.options)
    path = model_path(config, family)
    if not uses_stand_in(config):
        say(f"model.name_or_path is {path}; there is nothing to make")
        return
    raise_on_stop_signals()
    disable_progress_bar()
    every = max(1, config.model.stand_in.warmup_steps // TOLD_STEPS)
    section = config.family
    with crash_log(None), closing(FamilyVerifier(section.name, section.options, config.verifiers)) as verifier:
        for step in prepare_model(config, family, verifier):
            if step.step % every == 0:
                say(f"warm start {step.step}/{config.model.stand_in.warmup_steps}, loss {step.loss:.3f}")
    say(f"model: {path}")
