import random

import pytest
import sympy

from data_pipelines.modular_math.primes import MOST, is_prime, next_prime, prime_factors


def test_small_numbers_are_as_by_trial():
    primes = [n for n in range(60_000) if n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))]
    assert [n for n in range(-5, 60_000) if is_prime(n)] == primes
    assert [next_prime(n) for n in (-3, 0, 1, 2, 3, 59_951)] == [2, 2, 2, 3, 5, 59_957]


def test_large_numbers_are_as_sympy_says():
    drawn = random.Random(1)
    numbers = [drawn.randrange(1, 10 ** drawn.randrange(2, 15)) for _ in range(1500)]
    # Products of large primes and their powers, Carmichael numbers, strong pseudoprimes to 2, 3, 5 and 7.
    numbers += [
        sympy.nextprime(drawn.randrange(300, 10**6)) * sympy.nextprime(drawn.randrange(300, 10**6)) for _ in range(200)
    ]
    numbers += [10_007**2, 10_007**3, 211**5, 99_991 * 99_989, 561, 41_041, 825_265, 3_215_031_751, 321_197_185]
    for number in numbers:
        assert is_prime(number) == sympy.isprime(number), number
        assert prime_factors(number) == sympy.primefactors(number), number


def test_beyond_its_range_it_says_so():
    with pytest.raises(ValueError, match="beyond the primality test"):
        is_prime(int(sympy.nextprime(MOST)))
