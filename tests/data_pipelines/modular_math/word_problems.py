"""Answers printed word problems: reads them sentence by sentence and does what they say."""

import re

from sympy import QQ

from tests.data_pipelines.modular_math.read import Reader, written

_N = r"(\w+)"
_GAIN = rf"(?:\w+) (?:finds?|buys?|gives \w+|gets?) {_N} (?:more|\w+)(?: from \w+)?\."
_LOSS = rf"(?:\w+) (?:loses?|gives?|sells?|borrows) {_N}(?: of \w+ \w+| \w+ to \w+| of them from \w+)?\."
_HOLDS = rf"(\w+) has {_N} \w+\."
_ONE_STEP = [
    (rf"(\w+) has {_N} \w+ and (\w+) has {_N}\. How many more \w+ does \1 have than \3\?", lambda A, p, B, q: p - q),
    (rf"(\w+) has {_N} \w+\. (\w+) has {_N}\. How many fewer \w+ does \1 have than \3\?", lambda B, q, A, p: p - q),
    (
        rf"(\w+) counts \w+ \w+: {_N}\. (\w+) has {_N}\. How many more would \1 need to have as many as \3\?",
        lambda B, q, A, p: p - q,
    ),
    (rf"(\w+) has {_N} \w+ and (\w+) has {_N}\. How many \w+ do they have together\?", lambda A, p, B, q: p + q),
    (
        rf"(\w+) collected {_N} \w+ and gave them to (\w+), who had {_N}\. How many does \3 have now\?",
        lambda A, p, B, q: p + q,
    ),
    (rf"()\w+ has {_N} \w+ with ()(\w+) \w+ in each\. How many \w+ \w+ \w+ have\?", lambda _, p, __, q: p * q),
    (rf"Each of ()\w+'s {_N} \w+ holds ()(\w+) \w+\. How many \w+ \w+ \w+ got\?", lambda _, p, __, q: p * q),
    (
        rf"()\w+ shares {_N} \w+ equally among ()(\w+) friends\. How many \w+ does each friend get\?",
        lambda _, p, __, q: p / q,
    ),
    (
        rf"()\w+ puts \w+ {_N} \w+ into ()(\w+) \w+, the same number into each\. How many \w+ are in one\?",
        lambda _, p, __, q: p / q,
    ),
    (
        rf"()\w+ shares {_N} \w+ equally among ()(\w+) friends and keeps the rest\. How many \w+ \w+ \w+ keep\?",
        lambda _, p, __, q: QQ(int(p) % int(q)),
    ),
    (
        rf"()\w+ packs {_N} \w+ into \w+ of ()(\w+) each\. How many \w+ \w+ \w+ left over\?",
        lambda _, p, __, q: QQ(int(p) % int(q)),
    ),
    (
        rf"()\w+ \w+ {_N} kilometers an hour for ()(\w+) hours\. How many kilometers \w+ \w+ go\?",
        lambda _, p, __, q: p * q,
    ),
    (
        rf"()\w+ \w+ {_N} kilometers at ()(\w+) kilometers an hour\. For how many hours \w+ \w+ on the way\?",
        lambda _, p, __, q: p / q,
    ),
    (
        rf"()\w+ \w+ {_N} kilometers in ()(\w+) hours\. How many kilometers \w+ \w+ go in an hour\?",
        lambda _, p, __, q: p / q,
    ),
    (
        rf"(\w+) and (?:\w+) are {_N} years old together\. ()\1 is {_N} years younger than \w+\. How old is \1\?",
        lambda A, total, _, apart: (total - apart) / 2,
    ),
]
_OLDER = rf"(\w+) is {_N} years older than (\w+)\. In {_N} years \w+ will be {_N}\. How old is \3 now\?"
_THEN = rf"In {_N} years \w+ will be {_N}, which is {_N} years more than (\w+) will be then\. How old is \4 now\?"


def solve(question):
    """The answer to a printed word problem."""
    reader = Reader()
    *sentences, asked = re.split(r"(?<=\.) ", question)
    while re.match(r"(Let|Suppose) ", sentences[0]):
        reader.define(sentences.pop(0).removesuffix("."))
    story = " ".join([*sentences, asked])
    for pattern, answer in _ONE_STEP:
        if found := re.fullmatch(pattern, story):
            first, p, second, q = found.groups()
            return written(answer(first, reader.number(p), second, reader.number(q)))
    if found := re.fullmatch(_OLDER, story):
        _, apart, _, later, then = found.groups()
        return written(reader.number(then) - reader.number(later) - reader.number(apart))
    if found := re.fullmatch(_THEN, story):
        later, then, apart, _ = found.groups()
        return written(reader.number(then) - reader.number(apart) - reader.number(later))
    return written(_counted(reader, sentences, asked))


def _counted(reader, sentences, asked):
    who, held = re.fullmatch(_HOLDS, sentences[0]).groups()
    total = reader.number(held)
    for sentence in sentences[1:]:
        # Whoever is not named first gives when they hand over, and takes when they borrow.
        other = sentence.split()[0] not in (who, "She", "He", "They")
        if found := re.fullmatch(_GAIN, sentence):
            assert other == (" gives " in sentence)
            total += reader.number(found[1])
        else:
            found = re.fullmatch(_LOSS, sentence)
            assert other == ("borrows" in sentence)
            total -= reader.number(found[1])
        assert total >= 0
    assert re.fullmatch(rf"How many \w+ (?:does|do) (?:{who}|she|he|they) have (?:now|in the end)\?", asked)
    return total
