"""An engine without a model: it sleeps as long as one would work, and gives canned answers. For trials of the control plane.

Behind the same protocols, in the same actors and threads as a real engine. Invariant: what a request is answered with depends
on the request alone, also how long it is. It loads no weights: a publication only takes `load_s` and changes the version.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from configs.system_sections import GeneratorsSection
from learner.weights import Publication
from selfplay.simulation.parts import canned
from tasks.records import Request, Rollout, Swap


@dataclass(slots=True)
class Running:
    """`versions`: which made its tokens, from which token on."""

    request: Request
    versions: list[Swap] = field(default_factory=list)
    num_tokens: int = 0


class SimulatedEngine:
    """Implements `actors.engines.Engine`; at most `max_num_seqs` of the requests run, in the order in which they came."""

    def __init__(self, config: GeneratorsSection, sampler_id: str) -> None:
        self._section, self._slots, self._sampler_id = config.simulated, config.max_num_seqs, sampler_id
        self.version, self.fingerprint = -1, ""
        self._held: dict[int, Running] = {}

    def generate(self, requests: Sequence[Request]) -> list[Rollout]:
        for number, request in enumerate(requests):
            self.add(number, request)
        answers: dict[int, Rollout] = {}
        while self._held:
            answers.update(self.step())
        return [answers[number] for number in range(len(requests))]

    @property
    def num_running(self) -> int:
        return len(self._held)

    def add(self, key: int, request: Request) -> None:
        self._held[key] = Running(request)

    def step(self) -> list[tuple[int, Rollout]]:
        running = list(islice(self._held.items(), self._slots))
        time.sleep(self._section.step_s + self._section.sequence_s * len(running))
        for _, item in running:
            if not item.versions or item.versions[-1].version != self.version:
                item.versions.append(Swap(first_token=item.num_tokens, version=self.version, fingerprint=self.fingerprint))
            item.num_tokens += 1
        done = [key for key, item in running if item.num_tokens == length(item.request)]
        return [(key, self._rollout(self._held.pop(key))) for key in done]

    def load(self, publication: Publication) -> None:
        time.sleep(self._section.load_s)
        self.version, self.fingerprint = publication.manifest.version, publication.manifest.fingerprint

    def close(self) -> None:
        self._held.clear()

    def _rollout(self, item: Running) -> Rollout:
        first, *later = item.versions
        rollout = canned(item.request, item.num_tokens, first.version, self._sampler_id, first.fingerprint)
        return replace(rollout, swaps=tuple(later))


def length(request: Request) -> int:
    """Tokens of its answer: any number up to its limit, each as often."""
    return 1 + request.seed % request.max_tokens
