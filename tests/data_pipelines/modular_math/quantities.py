"""Amounts of something in some unit, read from their text."""

import re

from sympy import QQ

from tests.data_pipelines.modular_math.read import Reader

# From the International System, by name and symbol; a month is the twelfth part of a year.
_SI = {"milli": -3, "centi": -2, "micro": -6, "nano": -9, "kilo": 3}
_UNITS = {"minute": 60, "hour": 3600, "day": 86400, "week": 604800, "decade": 10, "century": 100, "millennium": 1000}
_UNITS |= {"meter": 1, "second": 1, "gram": 1, "litre": 1, "year": 1, "month": QQ(1, 12), "tonne": 10**6}
_SYMBOLS = {"m": "meter", "s": "second", "g": "gram", "l": "litre", "t": "tonne"}
_PREFIXES = {"k": "kilo", "c": "centi", "m": "milli", "u": "micro", "n": "nano", "": ""}
_PLURALS = {"centuries": "century", "millennia": "millennium"}
_LOW = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
# Spelled as in the released data.
_TEENS = ("thirteen", "fourteeen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_SMALL = (*_LOW, *_TEENS)
_TENS = {"twenty": 20, "thirty": 30, "fourty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_PARTS = ("half", "third", "quarter", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelth")
_PARTS += (*(f"{teen.replace('eee', 'ee')}th" for teen in _TEENS), "twentieth")


def unit_size(name):
    """In meters, seconds, years, grams or litres."""
    name = _PLURALS.get(name, name)
    if name not in _UNITS and name not in _SYMBOLS:
        name = name if name[:-1] not in _UNITS and name.rstrip("s") == name else name.removesuffix("s")
    if name in _UNITS:
        return QQ(_UNITS[name])
    for prefix, power in _SI.items():
        if name.startswith(prefix):
            return QQ(10) ** power * QQ(_UNITS[name.removeprefix(prefix).removesuffix("s")])
    raise AssertionError(name)


def symbol_size(symbol):
    if symbol in _SYMBOLS:
        return QQ(_UNITS[_SYMBOLS[symbol]])
    return QQ(10) ** _SI[_PREFIXES[symbol[0]]] * QQ(_UNITS[_SYMBOLS[symbol[1:]]])


def number_in_words(text):
    """A number below a thousand in words."""
    if "hundred" in text:
        hundreds, _, rest = text.partition("-hundred")
        return 100 * number_in_words(hundreds) + (number_in_words(rest.removeprefix("-and-")) if rest else 0)
    tens, _, ones = text.partition("-")
    return _SMALL.index(text) if text in _SMALL else _TENS[tens] + (_SMALL.index(ones) if ones else 0)


def amount(text):
    """A quantity in base units: `3.5 kilograms`, `3.5kg`, `three quarters of a kilogram`, `3/4 of a kilogram`."""
    number, of, unit = text.partition(" of a ")
    if not of:
        number, symbol, unit = re.fullmatch(r"([\d.]+)(?:([a-z]+)| ([a-z]+))", text).groups()
        return Reader().number(number) * (symbol_size(symbol) if symbol else unit_size(unit))
    if number[0].isdigit():
        return Reader().number(number) * unit_size(unit)
    count, _, part = number.rpartition(" ")
    part = "half" if part == "halves" else part if part in _PARTS else part.removesuffix("s")
    return QQ(number_in_words(count), _PARTS.index(part) + 2) * unit_size(unit)
