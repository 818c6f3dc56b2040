"""Divisors, multiples and primes: numbers__div_remainder, numbers__is_factor, numbers__is_prime, numbers__lcm,
numbers__list_prime_factors.
"""

from math import gcd, lcm

from data_pipelines.modular_math.composition import POSITIVE_INTEGERS, ZERO, Context, maker
from data_pipelines.modular_math.primes import is_prime, next_prime, prime_factors
from data_pipelines.modular_math.registry import module
from data_pipelines.modular_math.values import (
    DIGIT,
    Value,
    draw_nonzero,
    draw_positive,
    fraction,
)

_LEAST = ("least", "lowest", "smallest")
_MULTIPLE = (
    "Calculate the {least} common multiple of {p} and {q}.",
    "What is the {least} common multiple of {p} and {q}?",
)
_DENOMINATOR = (
    "What is the common denominator of {p} and {q}?",
    "Find the common denominator of {p} and {q}.",
    "Calculate the common denominator of {p} and {q}.",
)
_FACTOR: tuple[str, ...] = (
    "Is {divisor} a factor of {number}?",
    "Is {number} a multiple of {divisor}?",
    "Does {divisor} divide {number}?",
)


@module(
    "numbers__div_remainder", composed=(2, 4), sizes="a third at most for the remainder, quotient and divisor the rest"
)
def div_remainder(context: Context, entropy: int) -> tuple[str, str]:
    """The remainder of a division of positive integers."""
    own = DIGIT + context.below(entropy // 3 + 1)
    remainder = draw_positive(context, own, 0)
    p, q = context.write(*_with_remainder(context, remainder, max(0, entropy - own)), inline=True)
    what = f"the remainder when {p} is divided by {q}"
    return context.compose(f"What is {what}?" if context.below(2) else f"Calculate {what}."), str(remainder)


@maker(ZERO, *POSITIVE_INTEGERS, weight=1)
def remainder_of(context: Context, value: Value, entropy: int) -> str:
    """Let k be the remainder when p is divided by q."""
    p, q = context.write(*_with_remainder(context, value.numerator, entropy))
    letter = context.letter()
    context.define(f"Let {letter} be the remainder when {p} is divided by {q}.")
    return letter


def _with_remainder(context: Context, remainder: int, entropy: int) -> tuple[int, int]:
    share = context.below(entropy + 1)
    divisor = remainder + draw_positive(context, entropy - share)
    return draw_positive(context, share) * divisor + remainder, divisor


@module("numbers__is_factor", composed=(2, 4), sizes="a third at most for the divisor")
def is_factor(context: Context, entropy: int) -> tuple[str, str]:
    """Whether one positive integer divides another, half of the time yes."""
    own = DIGIT + context.below(entropy // 3 + 1)
    divisor = draw_positive(context, own, 2)
    number = divisor * draw_positive(context, max(0, entropy - own))
    divides = context.below(2)
    if not divides:
        number += context.between(1, divisor - 1)
    (written,) = context.write(number, inline=True)
    templates = (*_FACTOR, "Is {number} even?") if divisor == 2 else _FACTOR
    return context.compose(context.choice(templates).format(divisor=divisor, number=written)), str(bool(divides))


@module("numbers__is_prime", composed=(2, 4), sizes="the two factors of the composite share the digits")
def is_prime_number(context: Context, entropy: int) -> tuple[str, str]:
    """Whether an integer is prime: half are products of two primes, half the next prime to one."""
    # Primes are sparse, so the numbers near which they lie have up to 1.4 digits more.
    entropy += (entropy * 22) // (10 * DIGIT)
    share = context.below(entropy + 1)
    composite = _prime_near(context, draw_positive(context, share, 2))
    composite *= _prime_near(context, draw_positive(context, entropy - share, 2))
    prime = context.below(2)
    number = next_prime(composite - 4) if prime else composite
    (written,) = context.write(number, inline=True)
    if context.below(2):
        attribute = context.choice(("composite", "a composite number"))
        answer = not prime
    else:
        attribute = context.choice(("prime", "a prime number"))
        answer = bool(prime)
    return context.compose(f"Is {written} {attribute}?"), str(answer)


def _prime_near(context: Context, number: int) -> int:
    """A prime from number / 2 to number * 2, by trial."""
    while True:
        # Between n / 2 and 2n there is always one (Bertrand).
        candidate = context.between(-(-number // 2), 2 * number)
        if is_prime(candidate):
            return candidate


@module("numbers__list_prime_factors", composed=(2, 4))
def list_prime_factors(context: Context, entropy: int) -> tuple[str, str]:
    """The different prime factors of a positive integer, ascending."""
    number = draw_positive(context, max(DIGIT, entropy), 2)
    (written,) = context.write(number, inline=True)
    question = (
        f"What are the prime factors of {written}?" if context.below(2) else f"List the prime factors of {written}."
    )
    return context.compose(question), ", ".join([str(prime) for prime in prime_factors(number)])


@module("numbers__lcm", composed=(2, 4), sizes="the two numbers and their common factor share the digits")
def least_common_multiple(context: Context, entropy: int) -> tuple[str, str]:
    """The least common multiple of two positive integers, half of the time as two fractions' denominator."""
    first, second, common = context.shares(entropy, 3)
    factor = draw_positive(context, min(common, max(0, entropy - max(DIGIT, first) - max(DIGIT, second))))
    p = factor * draw_positive(context, max(DIGIT, first))
    q = factor * draw_positive(context, max(DIGIT, second))
    if context.below(2):
        left, right = context.write(p, q, inline=True)
        question = context.choice(_MULTIPLE).format(least=context.choice(_LEAST), p=left, q=right)
    else:
        left, right = context.write(_over(context, p), _over(context, q), inline=True)
        question = context.choice(_DENOMINATOR).format(p=left, q=right)
    return context.compose(question), str(lcm(p, q))


def _over(context: Context, denominator: int) -> Value:
    """A fraction that has this denominator in lowest terms."""
    while True:
        numerator = draw_nonzero(context, 2 * DIGIT)
        if gcd(numerator, denominator) == 1:
            return fraction(numerator, denominator)
