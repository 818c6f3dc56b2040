"""Numbers in words, spelled as in the released data."""

from data_pipelines.modular_math.values import Value

# "fourteeen", "fourty" and "twelth" stand in the released questions.
_LOW = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteeen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("", "", "twenty", "thirty", "fourty", "fifty", "sixty", "seventy", "eighty", "ninety")
_PARTS = (
    *("", "", "half", "third", "quarter", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh"),
    *("twelth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth"),
    "twentieth",
)


def in_words(number: int) -> str:
    """A number below 1,000, `one-hundred-and-twenty-three`."""
    if number < 20:
        return _LOW[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return f"{_TENS[tens]}-{_LOW[ones]}" if ones else _TENS[tens]
    hundreds, rest = divmod(number, 100)
    return f"{_LOW[hundreds]}-hundred" + (f"-and-{in_words(rest)}" if rest else "")


def fraction_in_words(value: Value) -> str:
    """`three quarters`, for a denominator of at most 20."""
    part = _PARTS[value.denominator]
    if value.numerator > 1:
        part = "halves" if value.denominator == 2 else f"{part}s"
    return f"{in_words(value.numerator)} {part}"
