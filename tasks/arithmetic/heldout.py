"""Says of a draft whether it is held out: refused as a proposal, and never generated or trained on.

Owns nothing but what it is given: the suites, by name. It does not draw them.
"""

from collections.abc import Mapping, Sequence

from tasks.records import Draft, Kind


class HeldOut:
    """A task of a suite is held out, and so is a problem of a deduction suite where another kind would give it away.

    `? + ? = 8` trains on `5, 3`, which gives a held-out 5 + 3 away; a pattern's pairs are prompt, which carries no loss.
    """

    def __init__(self, suites: Mapping[str, Sequence[Draft]]) -> None:
        self.suites = suites
        drafts = [draft for suite in suites.values() for draft in suite]
        self._tasks = frozenset(draft.fingerprint for draft in drafts)
        self._pairs = frozenset((draft.program, draft.inputs[0]) for draft in drafts if draft.kind is Kind.DEDUCTION)

    def __contains__(self, draft: Draft) -> bool:
        shown = draft.kind is not Kind.INDUCTION and (draft.program, draft.inputs[0]) in self._pairs
        return shown or draft.fingerprint in self._tasks
