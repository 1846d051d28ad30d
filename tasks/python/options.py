"""Options of the Python family: how its prompts read, how large its tasks may get, how its generator draws them."""

from dataclasses import dataclass

from tasks.options import require
from tasks.python.source import Limits

_FEW = "(the generator has no more different inputs; raise max_int or max_length)"


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonOptions:
    """The defaults are those of a pre-trained model; `configs/tiny-cpu-python.yaml` has those of the stand-in.

    Lengths are in characters. A model's proposals outside the bounds are refused.
    """

    # Prompts
    instructions: bool = True  # say in words what is asked; false: the blocks alone, for a model that is trained on them
    think: bool = True  # a completion reasons in <think>…</think> before its <answer>…</answer>
    prefill: bool = False  # the prompt itself opens <think>; for base models, with model.prompt_format plain
    max_prompt_bytes: int = 18_000  # references that would make a longer prompt are left out; no token is under a byte
    printable: bool = False  # tasks hold printable ASCII and newlines only: all that the stand-in's tokenizer can write

    # Tasks
    num_inputs: int = 10  # of an induction task; the first half is shown (N of the paper)
    helpers: bool = True  # a program may define functions and classes beside f
    keep_comments: bool = True  # false: programs are stored without comments and docstrings
    refuse_trivial: bool = True  # programs that ignore their input or return a constant
    max_program_chars: int = 4_000
    max_input_chars: int = 1_000
    max_message_chars: int = 500

    # Held-out suites
    heldout_deduction: int = 200
    heldout_abduction: int = 100
    heldout_induction: int = 100
    heldout_files: tuple[str, ...] = ()  # JSONL of {"code", "input"}, as CRUXEval's: their programs are refused

    # Generator
    easy_share: float = 0.7  # share of generated programs that return one expression
    max_int: int = 20
    max_length: int = 4  # of generated strings and lists
    letters: str = "abc"  # that generated strings are made of

    def __post_init__(self) -> None:
        require(self.think or not self.prefill, "prefill", "false where think is false", self.prefill)
        require(self.instructions or not self.prefill, "prefill", "false where instructions is false", self.prefill)
        require(self.num_inputs >= 2, "num_inputs", "at least 2", self.num_inputs)
        require(0 <= self.easy_share <= 1, "easy_share", "from 0 to 1", self.easy_share)
        require(4 <= self.max_int <= 10**9, "max_int", "from 4 to 1000000000", self.max_int)
        require(2 <= self.max_length <= 64, "max_length", "from 2 to 64", self.max_length)
        letters = self.letters.isascii() and self.letters.isalpha() and len(set(self.letters)) == len(self.letters)
        require(letters and len(self.letters) >= 2, "letters", "two or more different ASCII letters", repr(self.letters))
        require(self.num_inputs <= self.num_values, "num_inputs", f"at most {self.num_values} {_FEW}", self.num_inputs)
        for name in ("max_program_chars", "max_input_chars", "max_message_chars"):
            require(getattr(self, name) >= 40, name, "at least 40", getattr(self, name))
        for name in ("heldout_deduction", "heldout_abduction", "heldout_induction"):
            require(0 <= getattr(self, name) <= 5_000, name, "from 0 to 5000", getattr(self, name))
        require(self.max_prompt_bytes >= 0, "max_prompt_bytes", "0 or more", self.max_prompt_bytes)

    @property
    def num_values(self) -> int:
        """How many different values the generator has, of the type that has fewest."""
        strings: int = sum(len(self.letters) ** length for length in range(1, self.max_length + 1))
        return min(self.max_int + 1, strings)

    @property
    def limits(self) -> Limits:
        return Limits(max_chars=self.max_program_chars, helpers=self.helpers)
