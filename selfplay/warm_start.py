"""Which model a run starts from; and the warm start of the stand-in, cached by the fingerprint of its recipe.

The examples are the six (kind, role) formats: drafts from the family's generator, their answers from the verifier.
"""

import hashlib
import json
import random
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import digits

from configs.errors import ConfigError
from configs.schema import RunConfig
from learner.warm_start import Example, WarmStartStep, recorded, warm_start
from selfplay.protocols import Verifier
from tasks.family import Family
from tasks.records import Draft, Kind, Origin, Role, Task

STAND_IN = "stand-in"
RECIPE_VERSION = 3  # raise when the code of the recipe changes what it produces
BLOCK_SIZE = 256  # examples that are computed together
MAX_REFUSED_BLOCKS = 4  # in a row, before a family whose drafts are all refused is named
OPERATORS = "+-*"
MAX_DRAWS = 1000  # of a draft that the warm start may show
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
    yield from warm_start(config.model.stand_in, family.alphabet, family.words, draw, path)


def redrawn_tasks(config: RunConfig, family: Family, verifier: Verifier) -> list[Task]:
    """The tasks behind all examples of the stand-in's warm start, drawn again from its seed, with those drawn ahead."""
    section = config.model.stand_in
    source, rng = ExampleSource(config, family, verifier), random.Random(section.seed)
    wanted = section.warmup_steps * section.batch_size
    for _ in range(min(wanted, section.examples or wanted)):
        source.draw(rng)
    return source.tasks


def in_share(fingerprint: str, share: float) -> bool:
    """True for about `share` of all fingerprints, always the same ones; those of a smaller share are among a larger's."""
    digest = hashlib.blake2b(fingerprint.encode(), digest_size=8).digest()
    return int.from_bytes(digest) < share * 2**64


def misprinted(text: str, rng: random.Random) -> str:
    """With one digit or operator replaced by another; as it is, where it has none."""
    places = [(place, signs) for place, char in enumerate(text) for signs in (digits, OPERATORS) if char in signs]
    if not places:
        return text
    place, signs = rng.choice(places)
    return text[:place] + rng.choice(signs.replace(text[place], "")) + text[place + 1 :]


class ExampleSource:
    """Draws (prompt, completion) examples of the six formats; all randomness comes from the caller's generator.

    Examples are made in blocks: first the drafts of a whole block are drawn, then the verifier computes them in one call,
    and an example of which it refuses a draft is left out. So the generator runs ahead of the examples that are handed out,
    and the same one has to be passed in each time. A draft that comes again is not computed again.
    """

    def __init__(self, config: RunConfig, family: Family, verifier: Verifier) -> None:
        self._family = family
        self._verifier = verifier
        self._references = config.proposer.references
        kinds = [Kind(name) for name in config.family.kinds]
        stand_in = config.model.stand_in
        weights = {Role.SOLVE: stand_in.solve_weights, Role.PROPOSE: stand_in.propose_weights}
        self._formats = {
            (kind, role): share * weights[role].get(kind.value, 1.0) for (kind, role), share in MIX.items() if kind in kinds
        }
        self._ready: deque[Example] = deque()
        self._limit = config.model.stand_in.examples
        self._known_share = config.model.stand_in.known_share
        self._misprint_share = config.model.stand_in.misprint_share
        self._made: list[Example] = []  # where they are drawn again
        self._known: dict[str, Task | None] = {}  # by fingerprint; None: refused

    @property
    def tasks(self) -> list[Task]:
        """All that were computed so far: those of the examples, and those shown as references."""
        return [task for task in self._known.values() if task is not None]

    def draw(self, rng: random.Random) -> Example:
        """A new example; one of those made, once there are `stand_in.examples` of them."""
        if not self._limit:
            return self._new(rng)
        if len(self._made) < self._limit:
            self._made.append(self._new(rng))
            return self._made[-1]
        return rng.choice(self._made)

    def _new(self, rng: random.Random) -> Example:
        for _ in range(MAX_REFUSED_BLOCKS):
            if not self._ready:
                self._ready.extend(self._block(rng))
            if self._ready:
                return self._ready.popleft()
        raise ConfigError(
            f"family.options must let the {self._family.name} family generate tasks that its verifier admits, got none in "
            f"{MAX_REFUSED_BLOCKS * BLOCK_SIZE} drafts; widen them, or raise the limits in verifiers"
        )

    def _block(self, rng: random.Random) -> list[Example]:
        planned = [self._plan(rng) for _ in range(BLOCK_SIZE)]
        self._compute([draft for _, drafts in planned for draft in drafts])
        rows = ((role, [self._known[draft.fingerprint] for draft in drafts]) for role, drafts in planned)
        return [self._example(role, [task for task in tasks if task], rng) for role, tasks in rows if all(tasks)]

    def _plan(self, rng: random.Random) -> tuple[Role, list[Draft]]:
        """A draft to solve or to propose, and after it those of the references that a proposer would be shown."""
        [(kind, role)] = rng.choices(list(self._formats), weights=list(self._formats.values()))
        drafts = [self._known_draft(kind, rng) if role is Role.SOLVE else self._family.generate(kind, rng)]
        if role is Role.PROPOSE and kind is not Kind.INDUCTION:
            count = rng.randint(min(1, self._references), self._references)
            drafts += [self._family.generate(kind, rng) for _ in range(count)]
        return role, drafts

    def _known_draft(self, kind: Kind, rng: random.Random) -> Draft:
        """One whose answer the model is to know."""
        for _ in range(MAX_DRAWS):
            draft = self._family.generate(kind, rng)
            if in_share(draft.fingerprint, self._known_share):
                return draft
        raise ConfigError(
            f"model.stand_in.known_share must leave {kind} tasks of the {self._family.name} family to show, got "
            f"{self._known_share}: none in {MAX_DRAWS} drafts; raise it"
        )

    def _compute(self, drafts: Sequence[Draft]) -> None:
        fresh = {draft.fingerprint: draft for draft in drafts if draft.fingerprint not in self._known}
        admissions = self._verifier.build(list(fresh.values()), Origin.GENERATED, 0, "warm")
        self._known.update(zip(fresh, (admission.task for admission in admissions), strict=True))

    def _example(self, role: Role, tasks: Sequence[Task], rng: random.Random) -> Example:
        task, references = tasks[0], tasks[1:]
        if role is Role.SOLVE:
            answer = self._family.reference_answer(task)
            wrong = self._misprint_share > 0 and rng.random() < self._misprint_share
            return self._family.solve_prompt(task), misprinted(answer, rng) if wrong else answer
        prompt = self._family.propose_prompt(task.kind, references, task.program)
        return prompt, self._family.reference_proposal(task)
