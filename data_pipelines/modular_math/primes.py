"""Primes by exact, deterministic tests: Miller-Rabin and Pollard's rho."""

from math import gcd, isqrt

_SMALL = tuple(n for n in range(2, 212) if all(n % d for d in range(2, isqrt(n) + 1)))
_PRODUCT = 1
for _prime in _SMALL:
    _PRODUCT *= _prime
_SQUARE = _SMALL[-1] ** 2
# With these bases Miller-Rabin is exact below 3.4e14 (Jaeschke 1993).
_BASES = (2, 3, 5, 7, 11, 13, 17)
MOST = 341_550_071_728_321
"""Numbers from here on are beyond the test."""


def is_prime(number: int) -> bool:
    """Whether `number` is prime. Raises ValueError from MOST on."""
    if number <= _SMALL[-1]:
        return number in _SMALL
    if gcd(number, _PRODUCT) > 1:
        return False
    if number < _SQUARE:
        return True
    if number >= MOST:
        raise ValueError(f"{number} is beyond the primality test")
    twos = ((number - 1) & -(number - 1)).bit_length() - 1
    odd = (number - 1) >> twos
    for base in _BASES:
        power = pow(base, odd, number)
        if power in (1, number - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


def next_prime(number: int) -> int:
    """The least prime above `number`."""
    number = max(number, 1) + 1
    while not is_prime(number):
        number += 1
    return number


def prime_factors(number: int) -> list[int]:
    """The different primes that divide `number`, a positive integer, in ascending order."""
    factors = []
    rest = number
    common = gcd(rest, _PRODUCT)
    for prime in _SMALL:
        if common == 1:
            break
        if common % prime == 0:
            common //= prime
            factors.append(prime)
            while rest % prime == 0:
                rest //= prime
    return factors + sorted(_large_factors(rest))


def _large_factors(number: int) -> list[int]:
    """The different prime factors of a number without small ones."""
    if number == 1:
        return []
    if is_prime(number):
        return [number]
    divisor = _divisor(number)
    rest = number // divisor
    while rest % divisor == 0:
        rest //= divisor
    return list(dict.fromkeys(_large_factors(divisor) + _large_factors(rest)))


def _divisor(number: int) -> int:
    """A proper divisor of a composite number, by Pollard's rho with products of differences (Brent 1980)."""
    root = isqrt(number)
    if root * root == number:
        return root
    step = 1
    while True:
        slow = fast = kept = 2
        common = 1
        while common == 1:
            kept, kept_slow, total = fast, slow, 1
            for _ in range(32):
                slow = (slow * slow + step) % number
                fast = (fast * fast + step) % number
                fast = (fast * fast + step) % number
                total = total * (slow - fast) % number
            common = gcd(total, number)
        if common == number:
            # Some difference in the batch has all factors: go through it again, one by one.
            slow, fast, common = kept_slow, kept, 1
            while common == 1:
                slow = (slow * slow + step) % number
                fast = (fast * fast + step) % number
                fast = (fast * fast + step) % number
                common = gcd(slow - fast, number)
        if common != number:
            return common
        step += 1
