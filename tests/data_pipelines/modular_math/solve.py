"""Answers a printed question by reading it: sympy for algebra, brute force for primes and probability."""

import itertools
import re
from collections import Counter
from typing import NamedTuple

import mpmath
import sympy
from sympy import QQ
from sympy.polys.rings import ring

from tests.data_pipelines.modular_math.quantities import amount, number_in_words, unit_size
from tests.data_pipelines.modular_math.read import Reader, decimal, polynomial_text, written

_WORDS = {"one": 1, "ten": 10, "one hundred": 100, "one thousand": 1000, "ten thousand": 10**4}
_WORDS |= {"one hundred thousand": 10**5, "one million": 10**6}
_NUMERALS = {word: n for n, word in enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven"])}
_NTH = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelth",
]
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


def _sum(reader, p, q):
    return decimal(reader.number(p) + reader.number(q))


def _difference(reader, p, q):
    return decimal(reader.number(p) - reader.number(q))


def _distance(reader, p, q):
    return decimal(abs(reader.number(p) - reader.number(q)))


def _product(reader, p, q):
    return decimal(reader.number(p) * reader.number(q))


def _quotient(reader, p, q):
    return written(reader.number(p) / reader.number(q))


def _in_base(reader, base, p, sign, q):
    p, q = int(p, int(base)), int(q, int(base))
    return _digits(p + q if sign == "+" else p - q, int(base))


def _converted(reader, number, old, new):
    return _digits(int(number, int(old)), int(new))


def _digits(number, base):
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


def _which(reader, adjective, p, q):
    bigger = reader.number(p) > reader.number(q)
    return p if bigger == (adjective in ("bigger", "greater")) else q


def _holds(relation):
    return lambda reader, p, q: str(bool(relation(reader.number(p), reader.number(q))))


def _sort(reader, listed, direction="ascending"):
    return ", ".join(sorted(listed.split(", "), key=reader.number, reverse=direction in ("descending", "decreasing")))


def _choices(text):
    return dict(re.findall(r"\((\w)\) (\S+)", text)) if text.startswith("  (") else {x: x for x in text.split(", ")}


def _ranked(reader, nth, size, listed):
    choices = _choices(listed)
    order = sorted(choices, key=lambda choice: reader.number(choices[choice]), reverse=size == "biggest")
    return order[_NTH.index(nth.strip()) if nth else 0]


def _nearest(reader, target, listed):
    choices = _choices(listed)
    goal = reader.number(target)
    distances = {choice: abs(reader.number(text) - goal) for choice, text in choices.items()}
    assert len(set(distances.values())) == len(distances)
    return min(distances, key=distances.get)


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
    scale = QQ(10) ** exponent
    scaled = reader.number(text) / scale
    assert (2 * scaled).denominator != 1 or scaled.denominator == 1, "half-way"
    rounded = scaled + QQ(1, 2)
    return decimal((rounded.numerator // rounded.denominator) * scale)


def _solve(reader, equations, unknown):
    if re.search(r"\*\*|\(\w\) = 0", equations):
        return _roots(reader, equations, unknown)
    return written(reader.solution(equations)[unknown])


def _roots(reader, equation, unknown=None):
    left, right = equation.split(" = ")
    element, letters = reader.polynomial(left)
    assert right == "0" and unknown in (None, *letters)
    roots = sympy.Poly(element.as_expr(), sympy.Symbol(letters[0])).ground_roots()
    assert sum(roots.values()) == element.degree()
    return ", ".join(map(str, sorted(roots)))


def _factored(reader, text):
    element, _ = reader.polynomial(text)
    return str(sympy.factor(element.as_expr()))


def _simplified(reader, text):
    """Also what `Calculate f(x).` asks for."""
    if not reader.unknown(text):
        return written(reader.phrase(text))
    return polynomial_text(*reader.polynomial(text))


def _derivative(reader, nth, text, variable=None):
    element, letters = reader.polynomial(text)
    for _ in range(_NTH.index(nth) + 1):
        element = element.diff(element.ring.gens[letters.index(variable or letters[0])])
    return polynomial_text(element, letters)


def _next(reader, listed):
    numbers = list(map(int, listed.split(", ")))
    # By differences until they are constant.
    lasts = []
    while any(numbers):
        lasts.append(numbers[-1])
        numbers = [high - low for low, high in itertools.pairwise(numbers)]
    assert numbers, "not a polynomial of so low a degree"
    return str(sum(lasts))


def _nth_term(reader, variable, listed):
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


def _named(reader, text, form, asked):
    element, _ = reader.polynomial(text)
    for term in form.split(" + "):
        name, _, factor = term.partition("*")
        if name == asked:
            exponent = 0 if not factor else int(factor.partition("**")[2] or 1)
            return written(element.coeff(element.ring.gens[0] ** exponent))
    raise AssertionError(form)


def _surd(reader, text):
    return Surd(_numeric(text))


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
        values = [_numeric(term) for term in terms]
        return values == sorted(values) and abs(_numeric(answer) - self.number) < mpmath.mpf(10) ** -20


def _numeric(text):
    with mpmath.workdps(60):
        return mpmath.mpf(eval(re.sub(r"(\d+)", r"mpf(\1)", text), {"mpf": mpmath.mpf, "sqrt": mpmath.sqrt}))


def agrees(question, answer):
    """Whether `answer` is what the printed question asks for, to the letter."""
    expected = solve(question)
    return expected.written_as(answer) if isinstance(expected, Surd) else expected == answer


def _power(reader, text, variable):
    x = sympy.Symbol(variable, positive=True)
    numbered = re.sub(r"(\d+)", r"Integer(\1)", text)
    return str(eval(numbered, {"Integer": sympy.Integer, variable: x}))


def _root(reader, degree, value):
    degree = {"square": 2, "cube": 3}.get(degree) or (_NTH.index(degree) + 1 if degree in _NTH else int(degree))
    with mpmath.workdps(40):
        return str(int(mpmath.nint(mpmath.mpf(int(value)) ** (mpmath.mpf(1) / degree))))


def _prime(wanted):
    return lambda reader, text: str(bool(sympy.isprime(reader.integer(text))) == wanted)


def _divides(reader, divisor, text):
    return str(reader.integer(text) % int(divisor) == 0)


def _prime_factors(reader, text):
    return ", ".join(map(str, sympy.primefactors(reader.integer(text))))


def _lcm(reader, p, q):
    return str(sympy.lcm(reader.integer(p), reader.integer(q)))


def _denominator(reader, p, q):
    return str(sympy.lcm(int(reader.number(p).denominator), int(reader.number(q).denominator)))


def _conversion(reader, first, second, names_unit_first):
    unit, text = (first, second) if names_unit_first else (second, first)
    return decimal(amount(text) / unit_size(unit))


def _minutes(clock):
    hours, minutes, half = re.fullmatch(r"(\d+):(\d\d) ([AP])M", clock).groups()
    return int(hours) % 12 * 60 + int(minutes) + 720 * (half == "P")


def _clock(reader, count, direction, start):
    minutes = (_minutes(start) + int(count) * (1 if direction == "after" else -1)) % 1440
    hour = minutes // 60
    return f"{12 if hour % 12 == 0 else hour % 12}:{minutes % 60:02d} {'PM' if hour >= 12 else 'AM'}"


def _between(reader, start, end):
    return str((_minutes(end) - _minutes(start)) % 1440)


def _bag(text):
    if text.startswith("{"):
        return Counter({letter: int(count) for letter, count in re.findall(r"(\w): (\d+)", text)})
    return Counter(text)


def _picked(count, bag, event):
    """All ordered picks of letters, the equal ones together, with how often each comes up among all."""
    count = number_in_words(count.lower())
    ways: Counter = Counter({(): 1})
    full = _bag(bag)
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
    (rf"{_PICKED}\. (?:What is|Give) prob of (.*)[.?]", _picked),
    (rf"(?:What is|Calculate) prob of (.*) when {_PICKED}[.?]", lambda event, count, bag: _picked(count, bag, event)),
]
_NUMBER = r"(-?[a-z0-9./]*[a-z0-9])"
_PLAIN = r"(-?[0-9.]*[0-9])"
_QUESTIONS = [
    (r"In base (\d+), what is (\S+) ([-+]) (\S+)\?", _in_base),
    (r"(?:What is |Convert )?(\S+) \(base (\d+)\) (?:to|in) base (\d+)[.?]?", _converted),
    (rf"(?:Work out |Calculate |What is )?{_PLAIN} ?\+ ?{_PLAIN}[.?]?", _sum),
    (rf"Add {_PLAIN} and {_PLAIN}\.", _sum),
    (rf"Put together {_PLAIN} and {_PLAIN}\.", _sum),
    (rf"Sum {_PLAIN} and {_PLAIN}\.", _sum),
    (rf"Total of {_PLAIN} and {_PLAIN}\.", _sum),
    (rf"Add together {_PLAIN} and {_PLAIN}\.", _sum),
    (rf"What is {_PLAIN} plus {_PLAIN}\?", _sum),
    (rf"(?:Work out |Calculate |What is )?{_PLAIN} ?- ?{_PLAIN}[.?]?", _difference),
    (rf"What is {_PLAIN} (?:minus|take away) {_PLAIN}\?", _difference),
    (rf"What is {_PLAIN} less than {_PLAIN}\?", lambda reader, q, p: _difference(reader, p, q)),
    (rf"Subtract {_PLAIN} from {_PLAIN}\.", lambda reader, q, p: _difference(reader, p, q)),
    (rf"What is the (?:distance|difference) between {_PLAIN} and {_PLAIN}\?", _distance),
    (rf"(?:Work out |Calculate )?{_PLAIN} ?\* ?{_PLAIN}\.?", _product),
    (rf"Multiply {_PLAIN} and {_PLAIN}\.", _product),
    (rf"(?:What is the p|P)roduct of {_PLAIN} and {_PLAIN}[.?]", _product),
    (rf"(?:What is )?{_PLAIN} times {_PLAIN}\??", _product),
    (rf"Divide {_PLAIN} by {_PLAIN}\.", _quotient),
    (rf"(?:What is |Calculate )?{_PLAIN} divided by {_PLAIN}[.?]?", _quotient),
    (r"What is (\d+) to the power of 1/(\d+), to the nearest integer\?", lambda r, value, k: _root(r, k, value)),
    (r"What is the (\w+) root of (\d+) to the nearest integer\?", _root),
    (r"Simplify (.*) assuming (\w) is positive\.", _power),
    (r"Simplify (.*)\.", _surd),
    (rf"Which is (bigger|greater|smaller): {_NUMBER} or {_NUMBER}\?", _which),
    (r"(?:What|Which) is the (\w+ )?(biggest|smallest) value(?: in )?\??(.*?)\??", _ranked),
    (r"What is the (?:closest|nearest) to (\S+) in (.*)\?", _nearest),
    (r"Which is the (?:closest|nearest) to (\S+)\?(  .*)", _nearest),
    (r"Is (.*) (?:prime|a prime number)\?", _prime(True)),
    (r"Is (.*) (?:composite|a composite number)\?", _prime(False)),
    (r"Is (\d+) a factor of (.*)\?", _divides),
    (r"Is (.*) a multiple of (\d+)\?", lambda reader, text, divisor: _divides(reader, divisor, text)),
    (r"Does (\d+) divide (.*)\?", _divides),
    (r"Is (.*) even\?", lambda reader, text: _divides(reader, 2, text)),
    *(
        (f"Is {side.replace('(.*)', _NUMBER)}\\?", _holds(relation))
        for sides, relation in _RELATIONS.items()
        for side in sides.split("|")
    ),
    (rf"Does {_NUMBER} = {_NUMBER}\?", _holds(lambda p, q: p == q)),
    (rf"Are {_NUMBER} and {_NUMBER} equal\?", _holds(lambda p, q: p == q)),
    (rf"Do {_NUMBER} and {_NUMBER} have the same value\?", _holds(lambda p, q: p == q)),
    (rf"Is {_NUMBER} != {_NUMBER}\?", _holds(lambda p, q: p != q)),
    (rf"Are {_NUMBER} and {_NUMBER} (?:unequal|nonequal|non-equal)\?", _holds(lambda p, q: p != q)),
    (rf"Do {_NUMBER} and {_NUMBER} have different values\?", _holds(lambda p, q: p != q)),
    (r"(?:Sort|Put) (.*) in (\w+) order\.", _sort),
    (r"Sort ([^ ]+(?:, [^ ]+)*)\.", _sort),
    (r"Round (.*) to (.*)\.", _round),
    (r"What is (.*) rounded to (.*)\?", _round),
    (r"(?:Let|Suppose) (.*)\. (?:What is|Calculate) (\w)[.?]", _roots),
    (r"What is (\w) in (.* = 0)\?", lambda reader, unknown, equation: _roots(reader, equation, unknown)),
    (r"Find (\w)(?: such|, given) that (.*)\.", lambda reader, unknown, equation: _roots(reader, equation, unknown)),
    (r"Determine (\w)(?: so|, given) that (.*)\.", lambda reader, unknown, equation: _roots(reader, equation, unknown)),
    (r"Solve (.*) for (\w)\.", _solve),
    (r"Solve (.*)\.", _roots),
    (r"Factor (.*)\.", _factored),
    (r"(?:What is|Find) the (\w+) derivative of (.*) wrt (\w)[.?]", _derivative),
    (r"What is the derivative of (.*) wrt (\w)\?", lambda reader, *found: _derivative(reader, "first", *found)),
    (r"Differentiate (.*) (?:wrt|with respect to) (\w)\.", lambda reader, *found: _derivative(reader, "first", *found)),
    (r"(?:What is|Find) the (\w+) derivative of (.*)[.?]", _derivative),
    (r"What is the derivative of (.*)\?", lambda reader, text: _derivative(reader, "first", text)),
    (r"Differentiate (.*)\.", lambda reader, text: _derivative(reader, "first", text)),
    (r"What (?:is next|is the next term) in (.*)\?", _next),
    (r"What comes next: (.*)\?", _next),
    (r"What is the (\w)'th term of (.*)\?", _nth_term),
    (r"(?:Express|Rearrange) (.*) (?:as|to the form|in the form|to) (.*) and give (\w)\.", _named),
    (r"(?:Collect the terms in|Expand) (.*)\.", _simplified),
    (r"(?:Calculate|What is) the (?:least|lowest|smallest) common multiple of (.*) and (.*)[.?]", _lcm),
    (r"(?:Calculate|What is|Find) the common denominator of (.*) and (.*)[.?]", _denominator),
    (r"(?:What are|List) the prime factors of (.*)[.?]", _prime_factors),
    (r"How many (\w+) are there in (.*)\?", lambda reader, *found: _conversion(reader, *found, True)),
    (
        r"(?:What is|Convert) (\S+ ?\w+) (?:in|to) ([a-z]{4,})[.?]",
        lambda reader, *found: _conversion(reader, *found, False),
    ),
    (r"What is (.* of a \w+) in (\w+)\?", lambda reader, *found: _conversion(reader, *found, False)),
    (r"What is (\d+) minutes (before|after) (.*)\?", _clock),
    (r"How many minutes are there between (.*) and (.*)\?", _between),
    (r"(?:Calculate|Evaluate|Give|Determine) (.*)\.", _simplified),
    (r"What is the value of (.*)\?", _simplified),
    (r"What is (.*)\?", _simplified),
    (r"([-()0-9].*)", _simplified),
]
