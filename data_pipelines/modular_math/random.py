"""Random numbers as a pure function of (key, counter): no state survives a question, so any question can be drawn at
any time.

A `Stream` turns 256-bit BLAKE2b blocks of (key, index, block number) into integers by division, which costs a third of
one SplitMix64 step a draw in Python and is the same on every machine and version. `splitmix64` (Steele, Lea, Flood
2014) mixes single counters.
"""

from collections.abc import Iterable
from hashlib import blake2b

_MASK = (1 << 64) - 1
# Below this many bits left in the pool a fresh block is drawn: no draw is then biased by more than 2**-64.
_LOW = 1 << 128
_WIDEST = 1 << 64


def splitmix64(value: int) -> int:
    """One SplitMix64 output for the counter `value`: a bijection on 64-bit integers that scatters neighbours."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def stream_key(*parts: str | int) -> bytes:
    """A 16-byte key for streams from names and numbers, injective in its parts."""
    return blake2b(repr(parts).encode(), digest_size=16).digest()


class Stream:
    """Uniform integers from (key, index)."""

    __slots__ = ("_block", "_message", "_pool")

    def __init__(self, key: bytes, index: int):
        self._message = key + index.to_bytes(8, "little")
        self._block = 0
        self._pool = 0

    def _refill(self) -> int:
        block = blake2b(self._message + self._block.to_bytes(4, "little"), digest_size=32).digest()
        self._block += 1
        return int.from_bytes(block, "little")

    def below(self, count: int) -> int:
        """A uniform integer in [0, count)."""
        if count > _WIDEST:
            return self._below_wide(count)
        pool = self._pool
        if pool < _LOW:
            pool = self._refill()
        self._pool, value = divmod(pool, count)
        return value

    def _below_wide(self, count: int) -> int:
        value = 0
        for _ in range(count.bit_length() // 64 + 2):
            value = value << 64 | self.below(_WIDEST)
        return value % count

    def between(self, low: int, high: int) -> int:
        """A uniform integer in [low, high]."""
        count = high - low + 1
        if count > _WIDEST:
            return low + self._below_wide(count)
        # Here and below `below` is written out: a call costs as much as the draw.
        pool = self._pool
        if pool < _LOW:
            pool = self._refill()
        self._pool, value = divmod(pool, count)
        return low + value

    def choice(self, options):
        """One of `options`, a sequence."""
        pool = self._pool
        if pool < _LOW:
            pool = self._refill()
        self._pool, place = divmod(pool, len(options))
        return options[place]

    def draws(self, counts: Iterable[int]) -> list[int]:
        """`below(count)` for each of `counts`."""
        pool = self._pool
        values = []
        for count in counts:
            if count > _WIDEST:
                self._pool = pool
                values.append(self._below_wide(count))
                pool = self._pool
                continue
            if pool < _LOW:
                pool = self._refill()
            pool, value = divmod(pool, count)
            values.append(value)
        self._pool = pool
        return values

    def shuffled(self, items) -> list:
        """A new list of `items` in random order (Fisher-Yates)."""
        items = list(items)
        pool = self._pool
        for count in range(len(items), 1, -1):
            if pool < _LOW:
                pool = self._refill()
            pool, other = divmod(pool, count)
            items[count - 1], items[other] = items[other], items[count - 1]
        self._pool = pool
        return items

    def shares(self, total: int, count: int) -> list[int]:
        """`total` cut into `count` non-negative parts at uniform places."""
        if count == 1:
            return [total]
        if count == 2:
            cut = self.below(total + 1)
            return [cut, total - cut]
        cuts = self.draws((total + 1,) * (count - 1))
        cuts.sort()
        return [high - low for low, high in zip([0, *cuts], [*cuts, total], strict=True)]
