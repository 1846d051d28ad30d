"""How the named suites of programs and word problems are asked; tasks are asked by their family.

Two forms where programs are asked: `chat` for a model that follows instructions, plain text to be continued for a base
model. Text in, text out.
"""

BLOCK = "in one block that begins with ```python and ends with ```"

_SHOTS = (
    (
        "A shelf holds 4 boxes with 12 pencils each. The school takes 15 of the pencils. How many are left?",
        "The boxes hold 4 * 12 = 48 pencils. After the school has taken 15 there are 48 - 15 = 33 left.",
        "33",
    ),
    (
        "Mira runs 3 km on each weekday and 8 km on each of the two days of the weekend. How far does she run in two weeks?",
        "In a week she runs 5 * 3 = 15 km on weekdays and 2 * 8 = 16 km at the weekend, 31 km in all. In two weeks that is "
        "2 * 31 = 62 km.",
        "62",
    ),
    (
        "A ticket costs $40. Children pay a quarter less. What do 2 adults and 3 children pay, in dollars?",
        "A child's ticket costs 40 - 40 / 4 = 30 dollars. The adults pay 2 * 40 = 80 and the children 3 * 30 = 90, which is "
        "80 + 90 = 170 together.",
        "170",
    ),
)


def humaneval_prompt(stub: str, chat: bool) -> str:
    """`stub`: imports, head and docstring of the function, which a base model goes on from."""
    if not chat:
        return stub
    return (
        f"Complete this Python function. Reply with the whole function, and what it imports, {BLOCK}.\n\n```python\n{stub}```\n"
    )


def mbpp_prompt(text: str, tests: str, chat: bool) -> str:
    """`tests`: one assert a line."""
    if not chat:
        return f'"""\n{text}\n{tests}\n"""\n'
    return (
        f"You are an expert Python programmer, and here is your task: {text} Your code should pass these tests:\n\n{tests}\n\n"
        f"Reply with the code {BLOCK}.\n"
    )


def word_problem_prompt(question: str) -> str:
    """Three worked examples of our own before the question; the same for base models and for others."""
    shots = "".join(f"Question: {asked}\nAnswer: {worked}\n#### {final}\n\n" for asked, worked, final in _SHOTS)
    return (
        f"Solve the problem step by step. End with a line of #### and the final number.\n\n{shots}Question: {question}\nAnswer:"
    )
