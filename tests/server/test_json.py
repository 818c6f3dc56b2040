"""JSON is read as Python's own module reads it, whatever reads it faster."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vishwam.server.web import read_json

_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(_LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner))


@settings(max_examples=300, deadline=None)
@given(VALUES, st.booleans())
def test_what_json_writes_is_read_as_json_reads_it(value: object, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    expected = json.loads(text)
    for given_as in (text, text.encode("utf-8", "surrogatepass")) if "\\ud" not in text else (text,):
        found = read_json(given_as)
        assert json.dumps(found) == json.dumps(expected), "also where a number is not equal to itself, or to its kind"


@pytest.mark.parametrize(
    "text", ["NaN", '{"a": [Infinity, -Infinity]}', "1e400", "9" * 40, '"\\ud800"', '{"a":1,"a":2}']
)
def test_what_is_strange_is_read_too(text: str) -> None:
    assert repr(read_json(text)) == repr(json.loads(text))
    assert math.isnan(read_json("NaN"))


NOT_JSON = [
    "",
    " ",
    "{",
    "[1,]",
    "01",
    "1 2",
    '"a\tb"',
    "nul",
    "9" * 5_000,
    b'"\xff"',
    b'"\xed\xa0\x80"',
    b"\xff\xfe1\x00",
]


@pytest.mark.parametrize("text", NOT_JSON)
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        read_json(text)


def test_what_is_nested_without_end_is_refused() -> None:
    with pytest.raises(RecursionError):
        read_json("[" * 100_000 + "]" * 100_000)
