"""Reads printed questions: what letters stand for, what expressions come to. Shares nothing with the generator but the
task: Python's own parser, sympy's rational numbers and polynomial rings.
"""

import ast
import operator
import re

import sympy
from sympy import QQ
from sympy.polys.rings import PolyElement, ring

_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
}
_PLACES = {"units": 0, "tens": 1, "hundreds": 2}
_STEPS = ("thousands", "millions", "billions", "trillions")
for _step, _name in enumerate(_STEPS, 1):
    _PLACES |= {_name: 3 * _step, f"ten {_name}": 3 * _step + 1, f"hundred {_name}": 3 * _step + 2}
_ORDER = {"first": 1, "second": 2, "third": 3}


class Reader:
    """The letters defined so far, and what sentences mean under them."""

    def __init__(self):
        self.known = {}

    def evaluate(self, text, **more):
        """An expression with numbers, known letters, known functions, and `more` letters."""
        return self._node(ast.parse(text.strip(), mode="eval").body, text.strip(), {**self.known, **more})

    def _node(self, node, text, known):
        if isinstance(node, ast.Constant):
            written = ast.get_source_segment(text, node)
            whole, _, places = written.partition(".")
            return QQ(int(whole + places), 10 ** len(places))
        if isinstance(node, ast.Name):
            return known[node.id]
        if isinstance(node, ast.UnaryOp):
            return -self._node(node.operand, text, known)
        if isinstance(node, ast.Call):
            (argument,) = node.args
            return known[node.func.id](self._node(argument, text, known))
        left = self._node(node.left, text, known)
        right = self._node(node.right, text, known)
        if isinstance(node.op, ast.Pow):
            assert right.denominator == 1 and right >= 0
            return left ** int(right)
        return _OPERATORS[type(node.op)](left, right)

    def number(self, text):
        """The rational number that an expression comes to."""
        value = self.evaluate(text)
        assert isinstance(value, type(QQ(1, 2))), text
        return value

    def integer(self, text):
        value = self.number(text)
        assert value.denominator == 1, text
        return int(value)

    def polynomial(self, text, *given):
        """An expression as an element of a polynomial ring in its unknown letters, and these."""
        unknown = given or self.unknown(text)
        over, *symbols = ring(unknown or ["x"], QQ)
        return over(self.evaluate(text, **dict(zip(unknown, symbols, strict=bool(unknown))))), unknown

    def unknown(self, text):
        return sorted(set(re.findall(r"\b[a-z]\b", text)) - set(self.known))

    def define(self, sentence):
        if found := re.fullmatch(r"Let (\w)\((\w)\) be the (\w+) derivative of (.*)", sentence):
            name, variable, nth, body = found.groups()
            element, _ = self.polynomial(body, variable)
            for _ in range(_ORDER[nth]):
                element = element.diff(element.ring.gens[0])
            self.function(name, variable, element)
        elif found := re.fullmatch(r"Let (\w)\((\w)\) = (.*)", sentence):
            name, variable, body = found.groups()
            self.function(name, variable, self.polynomial(body, variable)[0])
        elif found := re.fullmatch(r"Let (\w) (?:=|be) (.*)", sentence):
            name, body = found.groups()
            assert name not in self.known
            self.known[name] = self.phrase(body)
        else:
            for letter, value in self.solution(sentence.removeprefix("Suppose ")).items():
                assert letter not in self.known
                self.known[letter] = value

    def function(self, name, variable, element):
        assert name not in self.known and variable not in self.known
        self.known[name] = lambda point: (
            element.compose(element.ring.gens[0], point)
            if isinstance(point, PolyElement) and point.ring == element.ring
            else self._substitute(element, point)
        )

    @staticmethod
    def _substitute(element, point):
        result = point * 0
        for (exponent,), coefficient in element.terms():
            result = result + coefficient * point**exponent
        return result

    def phrase(self, text):
        if found := re.fullmatch(r"(.*) divided by (.*)", text):
            if remainder := re.fullmatch(r"the remainder when (.*) is", found[1]):
                return QQ(self.integer(remainder[1]) % self.integer(found[2]))
            return self.number(found[1]) / self.number(found[2])
        if found := re.fullmatch(r"the (?:greatest|highest) common (?:divisor|factor) of (.*) and (.*)", text):
            return QQ(int(sympy.gcd(self.integer(found[1]), self.integer(found[2]))))
        if found := re.fullmatch(r"the ([a-z ]+) digit of (.*)", text):
            number = self.integer(found[2])
            assert number > 0
            return QQ(number // 10 ** _PLACES[found[1]] % 10)
        return self.number(text)

    def solution(self, equations):
        """The values of the unknown letters in linear equations with exactly one solution."""
        unknown = self.unknown(equations)
        rows = []
        for equation in equations.split(", "):
            left, right = equation.split(" = ")
            element = self.polynomial(left, *unknown)[0] - self.polynomial(right, *unknown)[0]
            row = {exponents: coefficient for exponents, coefficient in element.terms()}
            assert all(sum(exponents) <= 1 for exponents in row), equation
            rows.append([row.get(tuple(int(i == j) for i in range(len(unknown))), QQ(0)) for j in range(len(unknown))])
            rows[-1].append(-row.get((0,) * len(unknown), QQ(0)))
        return dict(zip(unknown, _cramer(rows), strict=True))


def _cramer(rows):
    if len(rows) == 1:
        ((slope, constant),) = rows
        return [constant / slope]
    (a, b, e), (c, d, f) = rows
    determinant = a * d - b * c
    assert determinant
    return [(e * d - b * f) / determinant, (a * f - e * c) / determinant]


def written(value):
    """As answers are written: an integer, else a fraction."""
    return str(value.numerator) if value.denominator == 1 else f"{value.numerator}/{value.denominator}"


def decimal(value):
    """As answers are written where decimals go in."""
    places = 0
    while (value * 10**places).denominator != 1:
        places += 1
    digits = str(abs((value * 10**places).numerator)).rjust(places + 1, "0")
    digits = f"{digits[: len(digits) - places]}.{digits[len(digits) - places :]}".rstrip(".")
    return ("-" if value < 0 else "") + digits


def polynomial_text(element, letters):
    """As answers are written: falling powers of the first letter, then of the next."""
    text = ""
    for exponents, coefficient in sorted(element.terms(), reverse=True):
        factors = [f"{x}**{k}" if k > 1 else x for x, k in zip(letters, exponents, strict=True) if k]
        size = abs(coefficient.numerator)
        if size != 1 or not factors:
            factors.insert(0, str(size))
        body = "*".join(factors) + ("" if coefficient.denominator == 1 else f"/{coefficient.denominator}")
        sign = ("-" if coefficient < 0 else "") if not text else (" - " if coefficient < 0 else " + ")
        text += sign + body
    return text or "0"
