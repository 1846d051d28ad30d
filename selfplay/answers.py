"""Plain answers: how a completion is read, and whether it is the expected one, where no verifier is needed.

Owns the four rules of files of prompt and answer. Pure: text in, a short reason out. Invariant: an answer that the end of
a truncated completion may have cut is never right. It knows no suites and runs nothing.
"""

import re
from decimal import Decimal
from enum import StrEnum

RIGHT = "ok"
MARK = "####"  # stands before the final number, as in GSM8K
NEXT_QUESTION = "\nQuestion:"  # where a base model goes on with a problem of its own
_INTEGER = re.compile(r"-?\d+")
_NUMBER = re.compile(r"(?:(?<![\w)])-)?\$?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?")


class Rule(StrEnum):
    """What of a completion is compared with the expected answer."""

    INTEGER = "integer"  # the journals' rule: the integer at the very start
    NUMBER = "number"  # the number at the very start, by value
    TEXT = "text"  # the first line, exactly; all of it where the expected answer has several lines
    FINAL_NUMBER = "final_number"  # the number after ####, else the last one, by value


def find_rule(answer: str) -> tuple[Rule, str]:
    """The rule for a recorded answer, and what is then expected."""
    text = answer.strip()
    if MARK in text and (final := read_final(text)) is not None:
        return Rule.FINAL_NUMBER, str(final)
    if _INTEGER.fullmatch(text):
        return Rule.INTEGER, text
    if _NUMBER.fullmatch(text):
        return Rule.NUMBER, str(_value(text))
    return Rule.TEXT, text


def mark(rule: Rule, expected: str, text: str, *, truncated: bool) -> str:
    """ "ok", or why the completion is not right: "value", "no_number" or "truncated"."""
    match rule:
        case Rule.INTEGER:
            return _mark_start(_INTEGER.match(text.strip()), expected, text.strip(), truncated)
        case Rule.NUMBER:
            return _mark_start(_NUMBER.match(text.strip()), expected, text.strip(), truncated)
        case Rule.FINAL_NUMBER:
            found = read_final(text)
            if truncated and not _is_final_whole(text):
                return "truncated"
            return "no_number" if found is None else RIGHT if found == Decimal(expected) else "value"
        case Rule.TEXT:
            return _mark_text(expected, text.strip(), truncated)


def is_whole_integer(text: str) -> bool:
    """Whether text follows the integer at the start, or there is none: a truncated completion lacks nothing of it."""
    found = _INTEGER.match(text.strip())
    return found is None or found.group() != text.strip()


def read_final(text: str) -> Decimal | None:
    """The first number after ####, else the last number; what follows a next question is not read."""
    own = text.split(NEXT_QUESTION)[0]
    marked = _NUMBER.search(own.partition(MARK)[2])
    found = marked.group() if marked else next(iter(_NUMBER.findall(own)[-1:]), None)
    return None if found is None else _value(found)


def _mark_start(found: re.Match[str] | None, expected: str, text: str, truncated: bool) -> str:
    """Integers are compared as text, as the journals do: 007 is not 7."""
    if found is None:
        return "no_number"
    if truncated and found.end() == len(text):
        return "truncated"
    same = found.group() == expected if found.re is _INTEGER else _value(found.group()) == Decimal(expected)
    return RIGHT if same else "value"


def _mark_text(expected: str, text: str, truncated: bool) -> str:
    if "\n" in expected:
        return "truncated" if truncated else RIGHT if text == expected else "value"
    first, newline, _ = text.partition("\n")
    if truncated and not newline:
        return "truncated"
    return RIGHT if first.strip() == expected else "value"


def _is_final_whole(text: str) -> bool:
    """Whether nothing can be lacking of the final number: a next question has begun, or text follows the marked number."""
    own, next_question, _ = text.partition(NEXT_QUESTION)
    after = own.partition(MARK)[2]
    found = _NUMBER.search(after)
    return bool(next_question) or (found is not None and found.end() < len(after.rstrip(".,")))


def _value(number: str) -> Decimal:
    return Decimal(number.replace("$", "").replace(",", ""))
