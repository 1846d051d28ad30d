"""Which model a run starts from; and the warm start of the stand-in, cached by the fingerprint of its recipe.

The examples are the six (kind, role) formats: drafts from the family's generator, their answers from the verifier.
"""

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path

from configs.schema import RunConfig
from learner.warm_start import Example, WarmStartStep, recorded, warm_start
from selfplay.protocols import Verifier
from tasks.family import Family
from tasks.records import Kind, Origin, Role, Task

STAND_IN = "stand-in"
RECIPE_VERSION = 3  # raise when the code of the recipe changes what it produces
# Shares of the examples. Solving gets more: its answers are computed, proposals are mostly form.
MIX = {
    (Kind.DEDUCTION, Role.SOLVE): 0.40,
    (Kind.ABDUCTION, Role.SOLVE): 0.20,
    (Kind.INDUCTION, Role.SOLVE): 0.16,
    (Kind.DEDUCTION, Role.PROPOSE): 0.08,
    (Kind.ABDUCTION, Role.PROPOSE): 0.08,
    (Kind.INDUCTION, Role.PROPOSE): 0.08,
}


def uses_stand_in(config: RunConfig) -> bool:
    return config.model.name_or_path == STAND_IN


def model_path(config: RunConfig, family: Family) -> str:
    """What engines and learner load: a Hugging Face name, a folder, or the cached stand-in's folder.

    Folders are absolute: actors on a cluster that was joined have a current folder of their own.
    """
    if not uses_stand_in(config):
        folder = Path(config.model.name_or_path).expanduser()
        return str(folder.absolute()) if folder.is_dir() else config.model.name_or_path
    folder = Path(config.model.stand_in.cache).expanduser().absolute()
    return str(folder / f"stand-in-{_recipe_fingerprint(config, family)}")


def _recipe_fingerprint(config: RunConfig, family: Family) -> str:
    section = config.model.stand_in.model_dump(exclude={"cache"})
    recipe = (RECIPE_VERSION, section, config.family.model_dump(), config.proposer.references, family.alphabet, family.words)
    return hashlib.blake2b(json.dumps(recipe, sort_keys=True).encode(), digest_size=8).hexdigest()


def prepare_model(config: RunConfig, family: Family, verifier: Verifier) -> Iterator[WarmStartStep]:
    """Makes the stand-in where the cache has none, and yields its steps; from the cache it yields the recorded ones.

    So a run's history begins with its warm start in both cases. Yields nothing for a model that exists already.
    """
    if not uses_stand_in(config):
        return
    path = Path(model_path(config, family))
    if path.exists():
        yield from recorded(path)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = ExampleSource(config, family, verifier).draw
    yield from warm_start(config.model.stand_in, family.alphabet, family.words, draw, path, config.learner.threads)


class ExampleSource:
    """Draws (prompt, completion) examples of the six formats; all randomness comes from the caller's generator."""

    def __init__(self, config: RunConfig, family: Family, verifier: Verifier) -> None:
        self._family = family
        self._verifier = verifier
        self._references = config.proposer.references
        kinds = [Kind(name) for name in config.family.kinds]
        self._formats = [pair for pair in MIX if pair[0] in kinds]

    def draw(self, rng: random.Random) -> Example:
        [(kind, role)] = rng.choices(self._formats, weights=[MIX[pair] for pair in self._formats])
        task = self._task(kind, rng)
        if role is Role.SOLVE:
            return self._family.solve_prompt(task), self._family.reference_answer(task)
        count = 0 if kind is Kind.INDUCTION else rng.randint(min(1, self._references), self._references)
        references = [self._task(kind, rng) for _ in range(count)]
        return self._family.propose_prompt(kind, references, task.program), self._family.reference_proposal(task)

    def _task(self, kind: Kind, rng: random.Random) -> Task:
        while True:
            [admission] = self._verifier.build([self._family.generate(kind, rng)], Origin.GENERATED, 0, "warm")
            if admission.task is not None:
                return admission.task
