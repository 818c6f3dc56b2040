"""Which split an example belongs to, decided by what it says and never by where it stands.

The split is a keyed BLAKE2b hash of the normalised content, or of the id of the group that an example belongs to, so
adding data never moves an example, and one drawn twice, in two processes or under two seeds, lands in the same split.
Of questions, normalisation keeps only the numbers, sorted: a question, its rephrasings, its other choices of letters
and its reorderings ("3 + 4", "What is 4 plus 3?") share a split, so a held-out question is new in substance.
"""

import unicodedata
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


def normalise_text(text: str) -> bytes:
    """A text without case, spacing and the variants that Unicode has of one character (NFKC)."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).encode()


def split_of(question: str) -> str:
    """The one split among train, validation and interpolate that `question` may stand in."""
    return _split(normalise(question))


def split_of_document(text: str, group: str | None = None) -> str:
    """The one split among train, validation and interpolate for a document, a dialogue or any other text.

    Args:
      group: the id of what must not be torn apart (a conversation, an author, the problem that a solution is for): it
        alone decides, and documents that share it share a split.
    """
    # The two kinds of key never meet: no normalised text begins with a zero byte.
    return _split(normalise_text(text) if group is None else b"\0" + group.encode())


def _split(key: bytes) -> str:
    return _EIGHTHS[blake2b(key, digest_size=8, person=_PERSON).digest()[0] & 7]
