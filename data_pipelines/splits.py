"""Which split a question belongs to, decided by what it says and never by where it stands.

The split is a keyed BLAKE2b hash of the normalised question, so adding data never moves an example, and a question
drawn twice, in two processes or under two seeds, lands in the same split. Normalisation keeps only the numbers, sorted:
a question, its rephrasings, its other choices of letters and its reorderings ("3 + 4", "What is 4 plus 3?") share a
split, so a held-out question is new in substance.
"""

from hashlib import blake2b

SPLITS = ("train", "validation", "interpolate", "extrapolate")

# Of eight equal parts of the hash: six are trained on, one validates, one tests. Extrapolation is apart by its ranges.
_EIGHTHS = ("train",) * 6 + ("validation", "interpolate")
_PERSON = b"vishwam splits 1"
_ONLY_DIGITS = bytes(code if 48 <= code < 58 else 32 for code in range(256))


def normalise(question: str) -> bytes:
    """The numbers of `question` in sorted order; without any digit, its letters without case and spaces."""
    text = question.encode()
    return b" ".join(sorted(text.translate(_ONLY_DIGITS).split())) or b"".join(text.lower().split())


def split_of(question: str) -> str:
    """The one split among train, validation and interpolate that `question` may stand in."""
    return _EIGHTHS[blake2b(normalise(question), digest_size=8, person=_PERSON).digest()[0] & 7]
