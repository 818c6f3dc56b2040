"""Answers a printed question by reading it and asking sympy: shares nothing with the generator."""

import re

import sympy
from sympy.parsing.sympy_parser import parse_expr, rationalize, standard_transformations

_PLACES = {"units": 0, "tens": 1, "hundreds": 2}
for _step, _name in enumerate(("thousands", "millions", "billions", "trillions"), 1):
    _PLACES |= {_name: 3 * _step, f"ten {_name}": 3 * _step + 1, f"hundred {_name}": 3 * _step + 2}
_WORDS = {"one": 1, "ten": 10, "one hundred": 100, "one thousand": 1000, "ten thousand": 10**4}
_WORDS |= {"one hundred thousand": 10**5, "one million": 10**6}
_NUMERALS = {word: n for n, word in enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven"])}


class Reader:
    """The letters defined so far, and what sentences mean under them."""

    def __init__(self):
        self.known = {}

    def number(self, text):
        value = parse_expr(text, local_dict=dict(self.known), transformations=(*standard_transformations, rationalize))
        assert value.is_Rational, (text, value)
        return value

    def define(self, sentence):
        if found := re.fullmatch(r"Let (\w)\((\w)\) = (.*)", sentence):
            name, variable, body = found.groups()
            assert name not in self.known and variable not in self.known
            symbol = sympy.Symbol(variable)
            known = {**self.known, variable: symbol}
            self.known[name] = sympy.Lambda(symbol, parse_expr(body, local_dict=known))
        elif found := re.fullmatch(r"Let (\w) (?:=|be) (.*)", sentence):
            name, body = found.groups()
            assert name not in self.known
            self.known[name] = self.phrase(body)
        else:
            assert sentence.startswith("Suppose ")
            equation = sentence.removeprefix("Suppose ")
            (unknown,) = set(re.findall(r"[a-z]", equation)) - set(self.known)
            self.known[unknown] = self.root(equation, unknown)

    def phrase(self, text):
        if found := re.fullmatch(r"(.*) divided by (.*)", text):
            return self.number(found[1]) / self.number(found[2])
        if found := re.fullmatch(r"the (?:greatest|highest) common (?:divisor|factor) of (.*) and (.*)", text):
            return sympy.gcd(self.number(found[1]), self.number(found[2]))
        if found := re.fullmatch(r"the ([a-z ]+) digit of (.*)", text):
            number = self.number(found[2])
            assert number.is_Integer and number > 0
            return sympy.Integer(number // 10 ** _PLACES[found[1]] % 10)
        return self.number(text)

    def root(self, equation, unknown):
        symbol = sympy.Symbol(unknown)
        left, right = (parse_expr(side, local_dict={**self.known, unknown: symbol}) for side in equation.split("="))
        (solution,) = sympy.solveset(left - right, symbol)
        return solution

    def written(self, value):
        """As answers are written: an integer, else a fraction."""
        return str(value)

    def decimal(self, value):
        """As answers are written where decimals go in."""
        places = 0
        while not (value * 10**places).is_Integer:
            places += 1
        digits = str(abs(value) * 10**places).rjust(places + 1, "0")
        digits = f"{digits[: len(digits) - places]}.{digits[len(digits) - places :]}".rstrip(".")
        return ("-" if value < 0 else "") + digits


def solve(question):
    """The answer to a printed question of any module."""
    reader = Reader()
    *definitions, asked = re.split(r"(?<=\.) (?=Let |Suppose |[A-Z])", question)
    for sentence in definitions:
        reader.define(sentence.removesuffix("."))
    for pattern, answer in _QUESTIONS:
        if found := re.fullmatch(pattern, asked):
            return answer(reader, *found.groups())
    raise AssertionError(f"nobody knows what {asked!r} asks")


def _sum(reader, p, q):
    return reader.decimal(reader.number(p) + reader.number(q))


def _difference(reader, p, q):
    return reader.decimal(reader.number(p) - reader.number(q))


def _distance(reader, p, q):
    return reader.decimal(abs(reader.number(p) - reader.number(q)))


def _product(reader, p, q):
    return reader.decimal(reader.number(p) * reader.number(q))


def _quotient(reader, p, q):
    return reader.written(reader.number(p) / reader.number(q))


def _which(reader, adjective, p, q):
    bigger = reader.number(p) > reader.number(q)
    return p if bigger == (adjective in ("bigger", "greater")) else q


def _holds(relation):
    return lambda reader, p, q: str(bool(relation(reader.number(p), reader.number(q))))


def _sort(reader, listed, direction):
    return ", ".join(sorted(listed.split(", "), key=reader.number, reverse=direction in ("descending", "decreasing")))


def _round(reader, text, unit):
    if unit == "the nearest integer":
        exponent = 0
    elif unit.startswith("the nearest "):
        power = unit.removeprefix("the nearest ")
        exponent = len(str(_WORDS.get(power) or int(power))) - 1
    else:
        count, _, kind = unit.partition(" ")
        places = _NUMERALS[count] if count in _NUMERALS else int(count)
        assert kind.rstrip("s") in ("decimal place", "dp") and kind.endswith("s") == (places != 1)
        exponent = -places
    scaled = reader.number(text) / sympy.Integer(10) ** exponent
    assert (2 * scaled).is_Integer is False or scaled.is_Integer, "half-way"
    return reader.decimal(sympy.floor(scaled + sympy.Rational(1, 2)) * sympy.Integer(10) ** exponent)


def _solve(reader, equation, unknown):
    return str(reader.root(equation, unknown))


def _value(reader, text):
    return reader.written(reader.phrase(text))


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
_NUMBER = r"(-?[a-z0-9./]*[a-z0-9])"
_QUESTIONS = [
    (rf"(?:Work out |Calculate |What is )?{_NUMBER} ?\+ ?{_NUMBER}[.?]?", _sum),
    (rf"Add {_NUMBER} and {_NUMBER}\.", _sum),
    (rf"Put together {_NUMBER} and {_NUMBER}\.", _sum),
    (rf"Sum {_NUMBER} and {_NUMBER}\.", _sum),
    (rf"Total of {_NUMBER} and {_NUMBER}\.", _sum),
    (rf"Add together {_NUMBER} and {_NUMBER}\.", _sum),
    (rf"What is {_NUMBER} plus {_NUMBER}\?", _sum),
    (rf"(?:Work out |Calculate |What is )?{_NUMBER} ?- ?{_NUMBER}[.?]?", _difference),
    (rf"What is {_NUMBER} (?:minus|take away) {_NUMBER}\?", _difference),
    (rf"What is {_NUMBER} less than {_NUMBER}\?", lambda reader, q, p: _difference(reader, p, q)),
    (rf"Subtract {_NUMBER} from {_NUMBER}\.", lambda reader, q, p: _difference(reader, p, q)),
    (rf"What is the (?:distance|difference) between {_NUMBER} and {_NUMBER}\?", _distance),
    (rf"(?:Work out |Calculate )?{_NUMBER} ?\* ?{_NUMBER}\.?", _product),
    (rf"Multiply {_NUMBER} and {_NUMBER}\.", _product),
    (rf"(?:What is the p|P)roduct of {_NUMBER} and {_NUMBER}[.?]", _product),
    (rf"(?:What is )?{_NUMBER} times {_NUMBER}\??", _product),
    (rf"Divide {_NUMBER} by {_NUMBER}\.", _quotient),
    (rf"(?:What is |Calculate )?{_NUMBER} divided by {_NUMBER}[.?]?", _quotient),
    (rf"Which is (bigger|greater|smaller): {_NUMBER} or {_NUMBER}\?", _which),
    *(
        (f"Is {side.replace('(.*)', _NUMBER)}\\?", _holds(relation))
        for sides, relation in _RELATIONS.items()
        for side in sides.split("|")
    ),
    (rf"Does {_NUMBER} = {_NUMBER}\?", _holds(lambda p, q: p == q)),
    (rf"Are {_NUMBER} and {_NUMBER} equal\?", _holds(lambda p, q: p == q)),
    (rf"Do {_NUMBER} and {_NUMBER} have the same value\?", _holds(lambda p, q: p == q)),
    (rf"Does {_NUMBER} != {_NUMBER}\?", _holds(lambda p, q: p != q)),
    (rf"Are {_NUMBER} and {_NUMBER} (?:unequal|nonequal|non-equal)\?", _holds(lambda p, q: p != q)),
    (rf"Do {_NUMBER} and {_NUMBER} have different values\?", _holds(lambda p, q: p != q)),
    (r"(?:Sort|Put) (.*) in (\w+) order\.", _sort),
    (r"Sort ([^ ]+(?:, [^ ]+)*)\.", lambda reader, listed: _sort(reader, listed, "ascending")),
    (r"Round (.*) to (.*)\.", _round),
    (r"What is (.*) rounded to (.*)\?", _round),
    (r"Solve (.*) for (\w)\.", _solve),
    (r"(?:Calculate|Evaluate|Give|Determine) (.*)\.", _value),
    (r"What is the value of (.*)\?", _value),
    (r"What is (.*)\?", _value),
    (r"([-()0-9].*)", _value),
]
