"""Which suites `azr eval` asks: what `--suite` and `--data` name, where their rows lie, and who judges them.

A suite is the family's own (held out), a named data set under `--data-root` or at a given place, or any file of prompt and
answer. Invariant: no two chosen suites have the same name, so that neither figures nor files overwrite each other.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.errors import ConfigError, UserError
from configs.schema import RunConfig
from selfplay.evaluate import heldout_items
from selfplay.suites import FORMS, Judge, Suite, read_answers, read_suite
from tasks.records import Kind
from tasks.rows import is_hub, source_stem
from verifier.verifier import FamilyVerifier

PYTHON = "python"
ASKING = ("instructions", "think", "prefill", "printable")  # options of the Python family that say how tasks are asked
GPT3 = "gpt3"
GPT3_FOLDER = "gpt3_arithmetic"

PATIENCE_S = 30.0  # at least, for one run of a program: a busy machine must not change the figures of an evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line asks for. `suites`: NAME or NAME=SOURCE; a source is a path or an hf: name; 0 is no limit."""

    suites: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    data_root: Path = Path()
    limit: int = 0
    max_tokens: int = 0
    verbatim: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A suite to ask, with the verifier that judges its tasks, or whose executor runs its programs."""

    name: str
    suite: Suite
    verifier: FamilyVerifier | None
    max_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a suite's rows lie: nowhere for a held-out suite, which has no `source`. `form`: one of FORMS, GPT3, or empty."""

    name: str
    source: str = ""
    form: str = ""


class Judges:
    """The verifiers of one evaluation, and the run's held-out suites; each is made when it is first needed."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self._made: dict[str, FamilyVerifier] = {}
        self._heldout: dict[str, Suite] | None = None

    def own(self) -> FamilyVerifier:
        """Of the run's family, with its options."""
        section = self.config.family
        return self._get("own", section.name, section.options)

    def python(self) -> FamilyVerifier:
        """Of the Python family, whatever the run's: asked in the run's form where it has one, within the usual bounds."""
        section = self.config.family
        given = section.options if section.name == PYTHON else {}
        asking = {name: value for name, value in given.items() if name in ASKING}
        return self._get(PYTHON, PYTHON, {**asking, **{f"heldout_{kind}": 0 for kind in Kind}})

    def heldout(self) -> dict[str, Suite]:
        if self._heldout is None:
            kinds = [Kind(name) for name in self.config.family.kinds]
            found = heldout_items(self.own().family, self.own(), kinds)
            self._heldout = {name: Suite(items=tuple(items)) for name, items in found.items()}
        return self._heldout

    def close(self) -> None:
        for verifier in self._made.values():
            verifier.close()
        self._made.clear()

    def _get(self, key: str, family: str, options: Mapping[str, object]) -> FamilyVerifier:
        if key not in self._made:
            section = self.config.verifiers
            patient = section.model_copy(update={"timeout_s": max(section.timeout_s, PATIENCE_S)})
            self._made[key] = FamilyVerifier(family, options, patient)
        return self._made[key]


def choose_suites(wanted: Wanted, judges: Judges, chat: Callable[[], bool]) -> list[Chosen]:
    """The suites and files in the order given; all held-out suites where nothing is named.

    `chat`: whether the model follows instructions; asked only where programs are.
    """
    places = [place for text in wanted.suites for place in _read_name(text, wanted.data_root, judges)]
    places += [Place(name=source_stem(source), source=source) for source in wanted.data]
    places = list(dict.fromkeys(places or [Place(name=name) for name in judges.heldout()]))
    names = distinct_names([place.name for place in places])
    return [_choose(place, name, wanted, judges, chat) for place, name in zip(places, names, strict=True)]


def distinct_names(names: Sequence[str]) -> list[str]:
    """The names, with a number after each that has come before."""
    taken: list[str] = []
    for name in names:
        number, free = 1, name
        while free in taken or (free != name and free in names):
            number += 1
            free = f"{name}-{number}"
        taken.append(free)
    return taken


def _read_name(text: str, root: Path, judges: Judges) -> Iterator[Place]:
    """NAME or NAME=SOURCE. `gpt3` is all of its files, the family's name all of its held-out suites, hf:… as in `--data`.

    Raises ConfigError for an unknown name.
    """
    name, given, source = text.partition("=")
    if given and not source:
        raise ConfigError(f"--suite must be NAME or NAME=SOURCE, got {text}; a source is a path or an hf: name")
    if name in FORMS:
        yield Place(name=name, source=source or str(root / FORMS[name].file), form=name)
    elif name == GPT3:
        folder = Path(source or root / GPT3_FOLDER).expanduser()
        files = sorted(folder.glob("*.jsonl"))
        if not files:
            raise UserError(f"--suite gpt3: no JSONL in {folder}; {_remedy(GPT3, 'FOLDER')}")
        yield from (Place(name=f"{GPT3}_{file.stem}", source=str(file), form=GPT3) for file in files)
    elif name.startswith(f"{GPT3}_"):
        file = root / GPT3_FOLDER / f"{name.removeprefix(f'{GPT3}_')}.jsonl"
        yield Place(name=name, source=source or str(file), form=GPT3)
    elif is_hub(text):
        yield Place(name=source_stem(text), source=text)
    elif not given and name == judges.config.family.name:
        yield from (Place(name=suite) for suite in judges.heldout())
    elif not given and name in judges.heldout():
        yield Place(name=name)
    else:
        known = [*judges.heldout(), *FORMS, GPT3]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near and near[0] != name else ""
        raise ConfigError(f"--suite must be one of {', '.join(known)} (held-out ones have no =SOURCE), got {text}{hint}")


def _choose(place: Place, name: str, wanted: Wanted, judges: Judges, chat: Callable[[], bool]) -> Chosen:
    """Reads the suite. Raises UserError where nothing of it can be asked."""
    config = judges.config
    max_tokens = config.evaluation.max_tokens
    verifier: FamilyVerifier | None = None
    if place.form:
        _check_place(place)
    if not place.source:
        verifier, found = judges.own(), judges.heldout()[place.name]
        suite = Suite(items=found.items[: wanted.limit or None])
    elif place.form in FORMS:
        form = FORMS[place.form]
        verifier = None if form.judge is Judge.NOTHING else judges.python()
        is_chat = form.judge is Judge.EXECUTOR and chat()
        suite = read_suite(place.form, place.source, verifier, chat=is_chat, limit=wanted.limit)
        if form.judge is not Judge.VERIFIER or config.family.name != PYTHON:
            max_tokens = form.max_tokens
    else:
        suite = read_answers(place.source, None if wanted.verbatim else judges.own().family, wanted.limit)
    if not suite.items:
        raise UserError(f"suite {name} must hold a row that can be asked, got none in {place.source}; is it another data set?")
    return Chosen(name=name, suite=suite, verifier=verifier, max_tokens=wanted.max_tokens or max_tokens)


def _check_place(place: Place) -> None:
    if not is_hub(place.source) and not Path(place.source).expanduser().is_file():
        raise UserError(f"--suite {place.name}: no data at {place.source}; {_remedy(place.name, 'FILE')} (or =hf:OWNER/NAME)")


def _remedy(name: str, what: str) -> str:
    return f"say where it lies with --data-root FOLDER or --suite {name}={what}"
