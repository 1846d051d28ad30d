"""Options of the prompts family: which data it reads, and how much of it is held out."""

from dataclasses import dataclass

from tasks.options import require


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptsOptions:
    # JSONL of prompt and answer, or hf:OWNER/NAME[/CONFIG][:SPLIT] (train unless it says another); every machine that runs a
    # verifier must have the file there, or reach the hub.
    path: str = ""
    heldout_share: float = 0.1  # of the rows, by the hash of their prompts

    def __post_init__(self) -> None:
        require(self.path != "", "path", "the path of a JSONL file, or hf:OWNER/NAME", "nothing")
        require(0 <= self.heldout_share < 1, "heldout_share", "from 0 to below 1", self.heldout_share)
