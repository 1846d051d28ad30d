"""Prompts of the Python family: what a proposer and a solver read, for each kind; and right completions in the same form.

A completion is `<think>…</think>` (where `options.think`), then `<answer>…</answer>` with fenced blocks labelled python,
input, output or message. With `instructions` the prompt says so in words; without, it is the blocks alone, for a model
that was trained on the form. Invariant: a solver's prompt never shows what its kind hides.
"""

from collections.abc import Sequence

from tasks.python.options import PythonOptions
from tasks.python.source import ALLOWED_IMPORTS
from tasks.python.wording import ANSWER, HELPERS, NO_HELPERS, OPENING, PROPOSE, SOLVE, THINK, Words
from tasks.records import Kind, Task

LABELS = ("python", "input", "output", "message")


def block(label: str, text: str) -> str:
    return f"```{label}\n{text}\n```\n"


def propose_prompt(options: PythonOptions, kind: Kind, references: Sequence[Task], program: str) -> str:
    """Leaves out the last references where the prompt would be longer than `max_prompt_bytes`."""
    if kind is Kind.INDUCTION:
        return _whole(options, PROPOSE[kind], f"propose {kind}\n", block("python", program))
    shown = [block("python", task.program) + _pair(options, task, 0) for task in references]
    while True:
        prompt = _whole(options, PROPOSE[kind], f"propose {kind}\n", _listed(options, shown))
        if not shown or len(prompt.encode("utf-8", "surrogatepass")) <= options.max_prompt_bytes:
            return prompt
        shown.pop()


def solve_prompt(options: PythonOptions, task: Task) -> str:
    return _whole(options, SOLVE[task.kind], "", _question(options, task))


def completion(options: PythonOptions, *blocks: str) -> str:
    """What a model should have written after a prompt; its reasoning is left empty."""
    answer = f"<answer>\n{''.join(blocks)}</answer>"
    if not options.think:
        return answer
    return f"{'' if options.prefill else '<think>'}\n</think>\n{answer}"


def shown_value(options: PythonOptions, literal: str) -> str:
    """The literal as prompts show it: with `printable`, other characters of its strings as escapes."""
    return literal.encode("ascii", "backslashreplace").decode() if options.printable else literal


def _question(options: PythonOptions, task: Task) -> str:
    """What the solver sees of the triplet."""
    if task.kind is Kind.DEDUCTION:
        return block("python", task.program) + block("input", task.pairs[0].input)
    if task.kind is Kind.ABDUCTION:
        return block("python", task.program) + block("output", shown_value(options, task.pairs[0].output))
    return "".join(_pair(options, task, number) for number in range(task.num_shown)) + block("message", task.message)


def _pair(options: PythonOptions, task: Task, number: int) -> str:
    pair = task.pairs[number]
    return block("input", pair.input) + block("output", shown_value(options, pair.output))


def _listed(options: PythonOptions, references: Sequence[str]) -> str:
    if not options.instructions:
        return "".join(references)
    if not references:
        return "There are no references yet.\n"
    return "\n".join(f"Reference {number}\n{text}" for number, text in enumerate(references, start=1))


def _whole(options: PythonOptions, words: Words, title: str, blocks: str) -> str:
    """Words before the blocks, the blocks, and the form of the answer; or the blocks under their title."""
    if not options.instructions:
        return title + blocks
    values = {
        "num_inputs": options.num_inputs,
        "num_shown": options.num_inputs // 2,
        "num_hidden": options.num_inputs - options.num_inputs // 2,
        "max_program_chars": options.max_program_chars,
        "max_input_chars": options.max_input_chars,
        "max_message_chars": options.max_message_chars,
        "modules": ", ".join(sorted(ALLOWED_IMPORTS)),
        "helpers": HELPERS if options.helpers else NO_HELPERS,
    }
    how = THINK if options.think else ANSWER
    request = f"{words.request.format(**values)}\n\n{blocks}\n{words.plan.format(**values)}{how} {words.form.format(**values)}"
    return f"{OPENING}Request:\n{request}\nReply:\n<think>" if options.prefill else request
