"""What each kind of question asks for, once its parts are read: sympy for algebra, brute force for primes and
probability.
"""

import itertools
import re
from collections import Counter
from typing import NamedTuple

import mpmath
import sympy
from sympy import QQ
from sympy.polys.rings import ring

from tests.data_pipelines.modular_math.quantities import amount, number_in_words, unit_size
from tests.data_pipelines.modular_math.read import decimal, polynomial_text, written

_WORDS = {"one": 1, "ten": 10, "one hundred": 100, "one thousand": 1000, "ten thousand": 10**4}
_WORDS |= {"one hundred thousand": 10**5, "one million": 10**6}
_NUMERALS = {word: n for n, word in enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven"])}
_NTH = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"]


def sum_of(reader, p, q):
    return decimal(reader.number(p) + reader.number(q))


def difference(reader, p, q):
    return decimal(reader.number(p) - reader.number(q))


def distance(reader, p, q):
    return decimal(abs(reader.number(p) - reader.number(q)))


def product(reader, p, q):
    return decimal(reader.number(p) * reader.number(q))


def quotient(reader, p, q):
    return written(reader.number(p) / reader.number(q))


def in_base(reader, base, p, sign, q):
    p, q = int(p, int(base)), int(q, int(base))
    return digits(p + q if sign == "+" else p - q, int(base))


def converted(reader, number, old, new):
    return digits(int(number, int(old)), int(new))


def digits(number, base):
    """By powers of the base from the highest, the other way round than by remainders."""
    place = 1
    while place * base <= abs(number):
        place *= base
    digits = ""
    rest = abs(number)
    while place:
        digits += "0123456789abcdef"[rest // place]
        rest, place = rest % place, place // base
    return ("-" if number < 0 else "") + digits


def which(reader, adjective, p, q):
    bigger = reader.number(p) > reader.number(q)
    return p if bigger == (adjective in ("bigger", "greater")) else q


def holds(relation):
    return lambda reader, p, q: str(bool(relation(reader.number(p), reader.number(q))))


def sort(reader, listed, direction="ascending"):
    return ", ".join(sorted(listed.split(", "), key=reader.number, reverse=direction in ("descending", "decreasing")))


def choices_in(text):
    return dict(re.findall(r"\((\w)\) (\S+)", text)) if text.startswith("  (") else {x: x for x in text.split(", ")}


def ranked(reader, nth, size, listed):
    choices = choices_in(listed)
    order = sorted(choices, key=lambda choice: reader.number(choices[choice]), reverse=size == "biggest")
    return order[_NTH.index(nth.strip()) if nth else 0]


def nearest(reader, target, listed):
    choices = choices_in(listed)
    goal = reader.number(target)
    distances = {choice: abs(reader.number(text) - goal) for choice, text in choices.items()}
    assert len(set(distances.values())) == len(distances)
    return min(distances, key=distances.get)


def round_of(reader, text, unit):
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
    scale = QQ(10) ** exponent
    scaled = reader.number(text) / scale
    assert (2 * scaled).denominator != 1 or scaled.denominator == 1, "half-way"
    rounded = scaled + QQ(1, 2)
    return decimal((rounded.numerator // rounded.denominator) * scale)


def solve(reader, equations, unknown):
    if re.search(r"\*\*|\(\w\) = 0", equations):
        return roots(reader, equations, unknown)
    return written(reader.solution(equations)[unknown])


def roots(reader, equation, unknown=None):
    left, right = equation.split(" = ")
    element, letters = reader.polynomial(left)
    assert right == "0" and unknown in (None, *letters)
    roots = sympy.Poly(element.as_expr(), sympy.Symbol(letters[0])).ground_roots()
    assert sum(roots.values()) == element.degree()
    return ", ".join(map(str, sorted(roots)))


def factored(reader, text):
    element, _ = reader.polynomial(text)
    return str(sympy.factor(element.as_expr()))


def simplified(reader, text):
    """Also what `Calculate f(x).` asks for."""
    if not reader.unknown(text):
        return written(reader.phrase(text))
    return polynomial_text(*reader.polynomial(text))


def derivative(reader, nth, text, variable=None):
    element, letters = reader.polynomial(text)
    for _ in range(_NTH.index(nth) + 1):
        element = element.diff(element.ring.gens[letters.index(variable or letters[0])])
    return polynomial_text(element, letters)


def next_term(reader, listed):
    numbers = list(map(int, listed.split(", ")))
    # By differences until they are constant.
    lasts = []
    while any(numbers):
        lasts.append(numbers[-1])
        numbers = [high - low for low, high in itertools.pairwise(numbers)]
    assert numbers, "not a polynomial of so low a degree"
    return str(sum(lasts))


def nth_term(reader, variable, listed):
    numbers = list(map(int, listed.split(", ")))
    over, x = ring(variable, QQ)
    # Newton's series: the k-th difference times the binomial (x - 1 over k).
    result, binomial, order = over(0), over(1), 0
    while any(numbers):
        result += numbers[0] * binomial
        order += 1
        binomial = binomial * (x - order) / QQ(order)
        numbers = [high - low for low, high in itertools.pairwise(numbers)]
    assert numbers, "not a polynomial of so low a degree"
    return polynomial_text(result, [variable])


def named(reader, text, form, asked):
    element, _ = reader.polynomial(text)
    for term in form.split(" + "):
        name, _, factor = term.partition("*")
        if name == asked:
            exponent = 0 if not factor else int(factor.partition("**")[2] or 1)
            return written(element.coeff(element.ring.gens[0] ** exponent))
    raise AssertionError(form)


def surd(reader, text):
    return Surd(numeric(text))


class Surd(NamedTuple):
    """The number that a simplified expression with roots must be."""

    number: mpmath.mpf

    def written_as(self, answer):
        """Whether `answer` is that number, with at most one fraction and one multiple of a prime's root, in order."""
        terms = answer.replace(" - ", " + -").split(" + ")
        whole = [term for term in terms if "sqrt" not in term]
        roots = [re.fullmatch(r"-?(\d+)?\*?sqrt\((\d+)\)(?:/(\d+))?", term) for term in terms if "sqrt" in term]
        if len(whole) > 1 or len(roots) > 1 or any(root is None for root in roots):
            return False
        for root in roots:
            if not sympy.isprime(int(root[2])) or root[1] == "1" or sympy.gcd(int(root[1] or 1), int(root[3] or 1)) > 1:
                return False
        if any(str(sympy.Rational(term)) != term for term in whole) or (answer != "0" and "0" in whole):
            return False
        values = [numeric(term) for term in terms]
        return values == sorted(values) and abs(numeric(answer) - self.number) < mpmath.mpf(10) ** -20


def numeric(text):
    with mpmath.workdps(60):
        return mpmath.mpf(eval(re.sub(r"(\d+)", r"mpf(\1)", text), {"mpf": mpmath.mpf, "sqrt": mpmath.sqrt}))


def power(reader, text, variable):
    x = sympy.Symbol(variable, positive=True)
    numbered = re.sub(r"(\d+)", r"Integer(\1)", text)
    return str(eval(numbered, {"Integer": sympy.Integer, variable: x}))


def root(reader, degree, value):
    degree = {"square": 2, "cube": 3}.get(degree) or (_NTH.index(degree) + 1 if degree in _NTH else int(degree))
    with mpmath.workdps(40):
        return str(int(mpmath.nint(mpmath.mpf(int(value)) ** (mpmath.mpf(1) / degree))))


def prime(wanted):
    return lambda reader, text: str(bool(sympy.isprime(reader.integer(text))) == wanted)


def divides(reader, divisor, text):
    return str(reader.integer(text) % int(divisor) == 0)


def prime_factors(reader, text):
    return ", ".join(map(str, sympy.primefactors(reader.integer(text))))


def lcm(reader, p, q):
    return str(sympy.lcm(reader.integer(p), reader.integer(q)))


def denominator(reader, p, q):
    return str(sympy.lcm(int(reader.number(p).denominator), int(reader.number(q).denominator)))


def conversion(reader, first, second, names_unit_first):
    unit, text = (first, second) if names_unit_first else (second, first)
    return decimal(amount(text) / unit_size(unit))


def minutes_of(clock):
    hours, minutes, half = re.fullmatch(r"(\d+):(\d\d) ([AP])M", clock).groups()
    return int(hours) % 12 * 60 + int(minutes) + 720 * (half == "P")


def clock(reader, count, direction, start):
    minutes = (minutes_of(start) + int(count) * (1 if direction == "after" else -1)) % 1440
    hour = minutes // 60
    return f"{12 if hour % 12 == 0 else hour % 12}:{minutes % 60:02d} {'PM' if hour >= 12 else 'AM'}"


def between(reader, start, end):
    return str((minutes_of(end) - minutes_of(start)) % 1440)


def letters_in(text):
    if text.startswith("{"):
        return Counter({letter: int(count) for letter, count in re.findall(r"(\w): (\d+)", text)})
    return Counter(text)


def picked(count, bag, event):
    """All ordered picks of letters, the equal ones together, with how often each comes up among all."""
    count = number_in_words(count.lower())
    ways: Counter = Counter({(): 1})
    full = letters_in(bag)
    for _ in range(count):
        further: Counter = Counter()
        for picks, times in ways.items():
            used = Counter(picks)
            for letter in full:
                if full[letter] > used[letter]:
                    further[(*picks, letter)] += times * (full[letter] - used[letter])
        ways = further
    if event.startswith("sequence "):
        good = ways[tuple(event.removeprefix("sequence "))]
    else:
        wanted = Counter({letter: int(n) for n, letter in re.findall(r"(\d+) (\w)", event.removeprefix("picking "))})
        good = sum(times for picks, times in ways.items() if Counter(picks) == wanted)
    return written(QQ(good, sum(ways.values())))
