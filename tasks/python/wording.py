"""The words around the blocks: what proposers and solvers of each kind are told, for models that are not trained on the form.

Templates of `str.format`; `tasks.python.prompts` fills them in and puts the blocks between them. No logic here.
"""

from dataclasses import dataclass

from tasks.records import Kind


@dataclass(frozen=True, slots=True)
class Words:
    """`request` stands before the blocks; after them come `plan`, how to reply, and `form`, the blocks of the answer."""

    request: str
    plan: str
    form: str


OPENING = (
    "Below are a request and the reply of a careful assistant, who first thinks the request through inside <think> and "
    "</think> and then gives the answer inside <answer> and </answer>.\n\n"
)
THINK = (
    "First think it through inside <think> and </think>. Then give your answer inside <answer> and </answer>, and end your "
    "reply there."
)
ANSWER = "Give your answer inside <answer> and </answer>, and end your reply there."
HELPERS = "It may define more functions and classes for f to use."
NO_HELPERS = "It defines no other function and no class."

_RULES = """\


The program
- defines a function named f that has one or more named parameters (no *args or **kwargs), makes use of its input, and \
returns its result (it prints and yields nothing). {helpers} Outside of these are at most imports and assignments.
- gives the same result for the same input on every run: no randomness, clock, files, network, keyboard or memory of earlier \
calls, and nothing that hangs on the order of a set, on hash() or on id().
- imports nothing but these modules, if any: {modules}. It uses no eval, exec, open, input, getattr, globals or the like.
- ends within a second, and has at most {max_program_chars} characters.

The input
- is the argument list of one call of f, as it would stand between the parentheses, on one line.
- is made of literals only: numbers, quoted strings, True, False, None, and lists, tuples, dictionaries and sets of these. No \
names, calls or calculations.
- has at most {max_input_chars} characters.

The task
- cannot be answered at a glance: the data go through several steps that depend on each other (loops, conditions, indices, \
accumulated values, nested structures, strings taken apart), and each step has to be followed to get the answer right.
- is hard, but has an answer that careful work without a computer will find. Long inputs and big numbers alone are not hard, \
only tedious.
- is new: its idea, and not just its names and numbers, differs from those of the references.

Tasks that exist already, as references:"""
_TASK_FORM = """\
The answer has exactly two blocks, the program and then the input. This one shows the form and nothing else; your task has to \
be much harder:

<answer>
```python
def f(words, limit):
    kept = [word for word in words if len(word) < limit]
    return ' '.join(kept)
```
```input
['some', 'words', 'here'], 5
```
</answer>
"""

PROPOSE = {
    Kind.DEDUCTION: Words(
        request="Invent a task that tests how well somebody reads Python code. The task is a program and one input for it. A "
        "solver will see the program and the input. Hidden is the output: the solver has to work it out without running the "
        "program. You do not give the output; the program will be run to get it." + _RULES,
        plan="Plan first: which idea is new, which steps make the output hard to foresee, and does the program run without an "
        "error on your input? ",
        form=_TASK_FORM,
    ),
    Kind.ABDUCTION: Words(
        request="Invent a task that tests how well somebody reasons backwards through Python code. The task is a program and "
        "one input for it. A solver will see the program and the output that your input gives. Hidden is the input: the solver "
        "has to find one that gives this very output, without running the program, and any input that does is right. You do "
        "not give the output; the program will be run to get it." + _RULES,
        plan="Plan first: which idea is new, which steps make it hard to get from the output back to an input, and does the "
        "program run without an error on your input? ",
        form=_TASK_FORM,
    ),
    Kind.INDUCTION: Words(
        request="Below is a Python program with a function f. Write {num_inputs} different inputs for it, and a message. "
        "Hidden is the program: a solver who never sees it will be shown {num_shown} of the inputs with the outputs that the "
        "program gives, and your message, and has to write a program that gives the right outputs for the other {num_hidden} "
        "inputs as well. You do not give the outputs; the program will be run to get them.",
        plan="""\
The inputs
- are each the argument list of one call of f, as it would stand between the parentheses, on one line, and run without an \
error.
- are made of literals only: numbers, quoted strings, True, False, None, and lists, tuples, dictionaries and sets of these. \
No names, calls or calculations.
- have at most {max_input_chars} characters each, and are all different.
- show between them every side of what the program does, the ordinary cases and the edges. Mix their order: the first ones \
are shown, the last ones are the test.

The message
- is a hint: with the shown examples it makes the program possible to find, but it is no description step by step, and \
quotes no code.
- has at most {max_message_chars} characters.

""",
        form="""\
The answer has exactly {num_inputs} input blocks and then one message block. With two inputs, for a program that joins the \
short words of a list, it would read:

<answer>
```input
['some', 'words', 'here'], 5
```
```input
['a', 'bee'], 2
```
```message
Not everything may stay; what stays is said in one breath.
```
</answer>
""",
    ),
}

SOLVE = {
    Kind.DEDUCTION: Words(
        request="Here are a Python program and an input, the argument list of one call of its function f. Work out the value "
        "that this call returns, without running anything.",
        plan="",
        form="""\
The answer has exactly one block: the value as a Python literal, with strings in quotes. For a list that holds the number 7 \
it would read:

<answer>
```output
[7]
```
</answer>
""",
    ),
    Kind.ABDUCTION: Words(
        request="Here are a Python program and the value that one call of its function f returned. Find an input, the argument "
        "list of a call, for which f returns exactly this value. If there are several, any of them will do.",
        plan="",
        form="""\
The answer has exactly one block: the arguments as Python literals, separated by commas as between the parentheses of a call, \
with strings in quotes. For a call with a list and a string it would read:

<answer>
```input
[7], 'seven'
```
</answer>
""",
    ),
    Kind.INDUCTION: Words(
        request="A Python function f that you cannot see was called several times. Here are the argument lists and the values "
        "that it returned, and a message about it. Write a program whose function f does the same. It will be tried on further "
        "inputs that are not shown, so look for the rule behind the examples instead of listing them.",
        plan="",
        form="""\
The answer has exactly one block: the whole program. For a function that doubles a number it would read:

<answer>
```python
def f(number):
    return number * 2
```
</answer>
""",
    ),
}
