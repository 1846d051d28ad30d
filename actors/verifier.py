"""The Ray shell of a verifier. Verifying is pure, so a call may be repeated on a restarted process."""

import os
from collections.abc import Mapping, Sequence

from configs.system_sections import VerifiersSection
from tasks.records import Admission, Answer, Draft, Origin, Proposal, Verdict
from verifier.verifier import FamilyVerifier


class VerifierActor:
    """One verifier with its executor's processes."""

    def __init__(self, name: str, family: str, options: Mapping[str, object], section: VerifiersSection) -> None:
        self._name = name
        self._family, self._options, self._section = family, options, section
        self._verifier: FamilyVerifier | None = None

    def __repr__(self) -> str:
        return self._name

    def start(self) -> int:
        """Loads the family; returns this process' id."""
        self._host()
        return os.getpid()

    def admit(self, proposals: Sequence[Proposal]) -> list[Admission]:
        return self._host().admit(proposals)

    def build(self, drafts: Sequence[Draft], origin: Origin, step: int, prefix: str) -> list[Admission]:
        return self._host().build(drafts, origin, step, prefix)

    def grade(self, answers: Sequence[Answer]) -> list[Verdict]:
        return self._host().grade(answers)

    def close(self) -> None:
        """Ends the executor's processes."""
        if self._verifier is not None:
            self._verifier.close()

    def _host(self) -> FamilyVerifier:
        if self._verifier is None:
            self._verifier = FamilyVerifier(self._family, self._options, self._section)
        return self._verifier
