"""Answers a printed question by reading it."""

import re

from tests.data_pipelines.modular_math import answers
from tests.data_pipelines.modular_math.read import Reader

_SENTENCE = re.compile(r"(?<=\.) (?=Let |Suppose |[A-Z])")


def solve(question):
    """The answer to a printed question of any module."""
    reader = Reader()
    *definitions, asked = _SENTENCE.split(question)
    for pattern, answer in _PROBABILITY:
        if found := re.fullmatch(pattern, question):
            return answer(*found.groups())
    # "Suppose 2*x**2 - 8 = 0. What is x?" is one question; "Suppose 2*x = 8. What is x + 1?" a definition before it.
    if definitions and re.fullmatch(r"(?:What is|Calculate) \w[.?]", asked):
        last = definitions[-1]
        own = re.fullmatch(r"Let (\w)(?:\(\w\))? = 0\.", last)
        defined = own and not any(re.match(rf"Let {own[1]}\(", sentence) for sentence in definitions[:-1])
        if re.fullmatch(r"(?:Let|Suppose) .* = 0\.", last) and not defined:
            definitions.pop()
            asked = f"{last} {asked}"
    for sentence in definitions:
        reader.define(sentence.removesuffix("."))
    for pattern, answer in _QUESTIONS:
        if found := re.fullmatch(pattern, asked):
            return answer(reader, *found.groups())
    raise AssertionError(f"nobody knows what {asked!r} asks")


def agrees(question, answer):
    """Whether `answer` is what the printed question asks for, to the letter."""
    expected = solve(question)
    return expected.written_as(answer) if isinstance(expected, answers.Surd) else expected == answer


_RELATIONS = {
    r"(.*) < (.*)|(.*) less than (.*)|(.*) smaller than (.*)": lambda p, q: p < q,
    r"(.*) <= (.*)|(.*) less than or equal to (.*)|(.*) at most (.*)|(.*) at most as big as (.*)": lambda p, q: p <= q,
    r"(.*) > (.*)|(.*) greater than (.*)|(.*) bigger than (.*)": lambda p, q: p > q,
    r"(.*) >= (.*)|(.*) greater than or equal to (.*)|(.*) at least (.*)|(.*) at least as big as (.*)": lambda p, q: (
        p >= q
    ),
    r"(.*) equal to (.*)": lambda p, q: p == q,
    r"(.*) not equal to (.*)": lambda p, q: p != q,
}
_PICKED = r"(\w+) letters picked without replacement from (\w+|{.*})"
_PROBABILITY = [
    (rf"{_PICKED}\. (?:What is|Give) prob of (.*)[.?]", answers.picked),
    (
        rf"(?:What is|Calculate) prob of (.*) when {_PICKED}[.?]",
        lambda event, count, bag: answers.picked(count, bag, event),
    ),
]
_NUMBER = r"(-?[a-z0-9./]*[a-z0-9])"
_PLAIN = r"(-?[0-9.]*[0-9])"
_QUESTIONS = [
    (r"In base (\d+), what is (\S+) ([-+]) (\S+)\?", answers.in_base),
    (r"(?:What is |Convert )?(\S+) \(base (\d+)\) (?:to|in) base (\d+)[.?]?", answers.converted),
    (rf"(?:Work out |Calculate |What is )?{_PLAIN} ?\+ ?{_PLAIN}[.?]?", answers.sum_of),
    (rf"Add {_PLAIN} and {_PLAIN}\.", answers.sum_of),
    (rf"Put together {_PLAIN} and {_PLAIN}\.", answers.sum_of),
    (rf"Sum {_PLAIN} and {_PLAIN}\.", answers.sum_of),
    (rf"Total of {_PLAIN} and {_PLAIN}\.", answers.sum_of),
    (rf"Add together {_PLAIN} and {_PLAIN}\.", answers.sum_of),
    (rf"What is {_PLAIN} plus {_PLAIN}\?", answers.sum_of),
    (rf"(?:Work out |Calculate |What is )?{_PLAIN} ?- ?{_PLAIN}[.?]?", answers.difference),
    (rf"What is {_PLAIN} (?:minus|take away) {_PLAIN}\?", answers.difference),
    (rf"What is {_PLAIN} less than {_PLAIN}\?", lambda reader, q, p: answers.difference(reader, p, q)),
    (rf"Subtract {_PLAIN} from {_PLAIN}\.", lambda reader, q, p: answers.difference(reader, p, q)),
    (rf"What is the (?:distance|difference) between {_PLAIN} and {_PLAIN}\?", answers.distance),
    (rf"(?:Work out |Calculate )?{_PLAIN} ?\* ?{_PLAIN}\.?", answers.product),
    (rf"Multiply {_PLAIN} and {_PLAIN}\.", answers.product),
    (rf"(?:What is the p|P)roduct of {_PLAIN} and {_PLAIN}[.?]", answers.product),
    (rf"(?:What is )?{_PLAIN} times {_PLAIN}\??", answers.product),
    (rf"Divide {_PLAIN} by {_PLAIN}\.", answers.quotient),
    (rf"(?:What is |Calculate )?{_PLAIN} divided by {_PLAIN}[.?]?", answers.quotient),
    (r"What is (\d+) to the power of 1/(\d+), to the nearest integer\?", lambda r, value, k: answers.root(r, k, value)),
    (r"What is the (\w+) root of (\d+) to the nearest integer\?", answers.root),
    (r"Simplify (.*) assuming (\w) is positive\.", answers.power),
    (r"Simplify (.*)\.", answers.surd),
    (rf"Which is (bigger|greater|smaller): {_NUMBER} or {_NUMBER}\?", answers.which),
    (r"(?:What|Which) is the (\w+ )?(biggest|smallest) value(?: in )?\??(.*?)\??", answers.ranked),
    (r"What is the (?:closest|nearest) to (\S+) in (.*)\?", answers.nearest),
    (r"Which is the (?:closest|nearest) to (\S+)\?(  .*)", answers.nearest),
    (r"Is (.*) (?:prime|a prime number)\?", answers.prime(True)),
    (r"Is (.*) (?:composite|a composite number)\?", answers.prime(False)),
    (r"Is (\d+) a factor of (.*)\?", answers.divides),
    (r"Is (.*) a multiple of (\d+)\?", lambda reader, text, divisor: answers.divides(reader, divisor, text)),
    (r"Does (\d+) divide (.*)\?", answers.divides),
    (r"Is (.*) even\?", lambda reader, text: answers.divides(reader, 2, text)),
    *(
        (f"Is {side.replace('(.*)', _NUMBER)}\\?", answers.holds(relation))
        for sides, relation in _RELATIONS.items()
        for side in sides.split("|")
    ),
    (rf"Does {_NUMBER} = {_NUMBER}\?", answers.holds(lambda p, q: p == q)),
    (rf"Are {_NUMBER} and {_NUMBER} equal\?", answers.holds(lambda p, q: p == q)),
    (rf"Do {_NUMBER} and {_NUMBER} have the same value\?", answers.holds(lambda p, q: p == q)),
    (rf"Is {_NUMBER} != {_NUMBER}\?", answers.holds(lambda p, q: p != q)),
    (rf"Are {_NUMBER} and {_NUMBER} (?:unequal|nonequal|non-equal)\?", answers.holds(lambda p, q: p != q)),
    (rf"Do {_NUMBER} and {_NUMBER} have different values\?", answers.holds(lambda p, q: p != q)),
    (r"(?:Sort|Put) (.*) in (\w+) order\.", answers.sort),
    (r"Sort ([^ ]+(?:, [^ ]+)*)\.", answers.sort),
    (r"Round (.*) to (.*)\.", answers.round_of),
    (r"What is (.*) rounded to (.*)\?", answers.round_of),
    (r"(?:Let|Suppose) (.*)\. (?:What is|Calculate) (\w)[.?]", answers.roots),
    (r"What is (\w) in (.* = 0)\?", lambda reader, unknown, equation: answers.roots(reader, equation, unknown)),
    (
        r"Find (\w)(?: such|, given) that (.*)\.",
        lambda reader, unknown, equation: answers.roots(reader, equation, unknown),
    ),
    (
        r"Determine (\w)(?: so|, given) that (.*)\.",
        lambda reader, unknown, equation: answers.roots(reader, equation, unknown),
    ),
    (r"Solve (.*) for (\w)\.", answers.solve),
    (r"Solve (.*)\.", answers.roots),
    (r"Factor (.*)\.", answers.factored),
    (r"(?:What is|Find) the (\w+) derivative of (.*) wrt (\w)[.?]", answers.derivative),
    (r"What is the derivative of (.*) wrt (\w)\?", lambda reader, *found: answers.derivative(reader, "first", *found)),
    (
        r"Differentiate (.*) (?:wrt|with respect to) (\w)\.",
        lambda reader, *found: answers.derivative(reader, "first", *found),
    ),
    (r"(?:What is|Find) the (\w+) derivative of (.*)[.?]", answers.derivative),
    (r"What is the derivative of (.*)\?", lambda reader, text: answers.derivative(reader, "first", text)),
    (r"Differentiate (.*)\.", lambda reader, text: answers.derivative(reader, "first", text)),
    (r"What (?:is next|is the next term) in (.*)\?", answers.next_term),
    (r"What comes next: (.*)\?", answers.next_term),
    (r"What is the (\w)'th term of (.*)\?", answers.nth_term),
    (r"(?:Express|Rearrange) (.*) (?:as|to the form|in the form|to) (.*) and give (\w)\.", answers.named),
    (r"(?:Collect the terms in|Expand) (.*)\.", answers.simplified),
    (r"(?:Calculate|What is) the (?:least|lowest|smallest) common multiple of (.*) and (.*)[.?]", answers.lcm),
    (r"(?:Calculate|What is|Find) the common denominator of (.*) and (.*)[.?]", answers.denominator),
    (r"(?:What are|List) the prime factors of (.*)[.?]", answers.prime_factors),
    (r"How many (\w+) are there in (.*)\?", lambda reader, *found: answers.conversion(reader, *found, True)),
    (
        r"(?:What is|Convert) (\S+ ?\w+) (?:in|to) ([a-z]{4,})[.?]",
        lambda reader, *found: answers.conversion(reader, *found, False),
    ),
    (r"What is (.* of a \w+) in (\w+)\?", lambda reader, *found: answers.conversion(reader, *found, False)),
    (r"What is (\d+) minutes (before|after) (.*)\?", answers.clock),
    (r"How many minutes are there between (.*) and (.*)\?", answers.between),
    (r"(?:Calculate|Evaluate|Give|Determine) (.*)\.", answers.simplified),
    (r"What is the value of (.*)\?", answers.simplified),
    (r"What is (.*)\?", answers.simplified),
    (r"([-()0-9].*)", answers.simplified),
]
