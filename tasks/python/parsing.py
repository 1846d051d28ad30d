"""Reads completions of the Python family: tags, fenced blocks, and what is in them.

What is taken, exactly:
- Of several complete `<answer>…</answer>` the last one counts, whatever follows it. With `options.think` the completion has
  to begin with `<think>…</think>` and go on with `<answer>`; with `options.prefill` the prompt has opened <think> already.
- A block begins with a line of three backticks and its label, and ends with a line of three backticks. White space around
  both is passed over; a block that is not closed is none; blocks with other labels and text between blocks are ignored.
- A proposal's program and input are the first blocks of their labels; induction takes all input blocks. A solver's answer
  is the last block of its label.

Model text is data: whatever it is, the result is a value or a `Malformed` with a short reason, never an exception.
`well_formed` says whether tags and blocks were right.
"""

import re
from dataclasses import replace

from tasks.python.literals import LiteralError, parse_arguments, parse_value, render, render_arguments
from tasks.python.options import PythonOptions
from tasks.python.prompts import LABELS, shown_value
from tasks.python.source import Program, fits, read_program, strip_comments, trivial
from tasks.records import Draft, Kind, Malformed, Task

_THOUGHT = re.compile(r"\s*<think>.*?</think>\s*(?=<answer>)", re.DOTALL)
_OPENING = re.compile(rf"\s*```\s*({'|'.join(LABELS)})\s*", re.IGNORECASE)
_CLOSING = re.compile(r"\s*```\s*")
_INPUT_REASONS = {"syntax": "input_syntax", "too_long": "input_too_long", "too_deep": "input_too_deep"}
_OUTPUT_REASONS = {"syntax": "output_syntax", "too_long": "output_too_long", "too_deep": "output_too_deep"}

Blocks = dict[str, list[str]]  # contents by label, in order


def read_blocks(options: PythonOptions, text: str) -> Blocks | Malformed:
    """The blocks of the answer. Reasons: no_answer, no_think."""
    text = text.replace("\r\n", "\n")
    if options.prefill:
        text = f"<think>{text}"
    end = text.rfind("</answer>")
    start = text.rfind("<answer>", 0, max(end, 0))
    if start < 0:
        return Malformed("no_answer")
    if options.think:
        thought = _THOUGHT.match(text)
        if thought is None:
            return Malformed("no_think")
        if thought.end() > start:  # what is complete was only thought of
            return Malformed("no_answer")
    return _blocks(text[start + len("<answer>") : end])


def _blocks(text: str) -> Blocks:
    found: Blocks = {label: [] for label in LABELS}
    label, lines = "", list[str]()
    for line in text.split("\n"):
        opening = _OPENING.fullmatch(line)
        if opening:
            label, lines = opening[1].lower(), []
        elif label and _CLOSING.fullmatch(line):
            found[label].append("\n".join(lines))
            label = ""
        elif label:
            lines.append(line)
    return found


def read_task(options: PythonOptions, kind: Kind, text: str) -> Draft | Malformed:
    """A proposal of deduction or abduction: a program and an input."""
    blocks = read_blocks(options, text)
    if isinstance(blocks, Malformed):
        return blocks
    if not blocks["python"]:
        return Malformed("no_program")
    if not blocks["input"]:
        return Malformed("no_input")
    program = _read_source(options, blocks["python"][0])
    if isinstance(program, Malformed):
        return program
    pointless = trivial(program) if options.refuse_trivial else None
    if pointless:
        return Malformed(pointless, well_formed=True)
    given = _read_input(options, program, blocks["input"][0])
    if isinstance(given, Malformed):
        return given
    source = program.text if options.keep_comments else strip_comments(program.text)
    return Draft(kind=kind, program=source, inputs=(given,), normal=program.normal)


def read_inputs(options: PythonOptions, source: str, text: str) -> Draft | Malformed:
    """A proposal of induction: inputs for the buffered program `source`, and a message."""
    blocks = read_blocks(options, text)
    if isinstance(blocks, Malformed):
        return blocks
    if not blocks["input"]:
        return Malformed("no_input")
    if not blocks["message"] or not blocks["message"][0].strip():
        return Malformed("no_message")
    message = blocks["message"][0].strip()
    if len(message) > options.max_message_chars:
        return Malformed("message_too_long", well_formed=True)
    if not _writable(options, message):
        return Malformed("message_characters", well_formed=True)
    if len(blocks["input"]) != options.num_inputs:
        return Malformed("num_inputs", well_formed=True)
    program = _read_source(options, source)
    if isinstance(program, Malformed):
        return program
    inputs = [_read_input(options, program, given) for given in blocks["input"]]
    refused = next((given for given in inputs if isinstance(given, Malformed)), None)
    if refused is not None:
        return refused
    texts = tuple(given for given in inputs if isinstance(given, str))
    if len(set(texts)) < len(texts):
        return Malformed("repeated_input", well_formed=True)
    return Draft(kind=Kind.INDUCTION, program=source, inputs=texts, message=message, normal=program.normal)


def read_answer(options: PythonOptions, task: Task, text: str) -> str | Malformed:
    """A solver's answer: a canonical value, a canonical argument list, or the text of a program."""
    blocks = read_blocks(options, text)
    if isinstance(blocks, Malformed):
        return blocks
    label = {Kind.DEDUCTION: "output", Kind.ABDUCTION: "input", Kind.INDUCTION: "python"}[task.kind]
    if not blocks[label]:
        return Malformed("no_program" if label == "python" else f"no_{label}")
    answer = blocks[label][-1]
    if task.kind is Kind.DEDUCTION:
        return _read_output(answer)
    program = _read_source(options, task.program if task.kind is Kind.ABDUCTION else answer)
    if task.kind is Kind.INDUCTION:
        return program if isinstance(program, Malformed) else program.text
    # A task from elsewhere may hold what no proposal may; only running it can then say what it takes.
    return _read_input(options, None if isinstance(program, Malformed) else program, answer)


def _read_source(options: PythonOptions, text: str) -> Program | Malformed:
    if not _writable(options, text):
        return Malformed("program_characters", well_formed=True)
    program = read_program(text, options.limits)
    return replace(program, well_formed=True) if isinstance(program, Malformed) else program


def _read_input(options: PythonOptions, program: Program | None, text: str) -> str | Malformed:
    """The canonical text of an argument list that the program can take."""
    try:
        arguments = parse_arguments(text)
        canonical = shown_value(options, render_arguments(arguments))
    except LiteralError as error:
        return Malformed(_INPUT_REASONS.get(error.reason, error.reason), well_formed=True)
    if program is not None and not fits(program, arguments):
        return Malformed("arity", well_formed=True)
    if options.printable and not all(name.isascii() for name, _ in arguments.keywords):
        return Malformed("input_characters", well_formed=True)
    return canonical if len(canonical) <= options.max_input_chars else Malformed("input_too_long", well_formed=True)


def _read_output(text: str) -> str | Malformed:
    try:
        return render(parse_value(text))
    except LiteralError as error:
        return Malformed(_OUTPUT_REASONS.get(error.reason, error.reason), well_formed=True)


def _writable(options: PythonOptions, text: str) -> bool:
    """Whether every character may stand in a prompt."""
    if options.printable:
        return all(char == "\n" or " " <= char <= "~" for char in text)
    return all(char.isprintable() or char in "\n\t" for char in text)
