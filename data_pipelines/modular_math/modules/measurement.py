"""Units and clocks: measurement__conversion, measurement__time."""

from fractions import Fraction
from typing import NamedTuple

from data_pipelines.modular_math.composition import Context
from data_pipelines.modular_math.registry import module
from data_pipelines.modular_math.values import DIGIT, POWERS, decimal, draw_positive, fraction
from data_pipelines.modular_math.words import fraction_in_words


class Unit(NamedTuple):
    """A unit's name, plural, symbol (empty where none is used) and size in the dimension's base unit."""

    name: str
    plural: str
    symbol: str
    size: Fraction


def _units(*rows: tuple[str, str, int, int]) -> tuple[Unit, ...]:
    irregular = {"century": "centuries", "millennium": "millennia"}
    return tuple(
        Unit(name, irregular.get(name, f"{name}s"), symbol, Fraction(up, down)) for name, symbol, up, down in rows
    )


_THOUSAND, _MILLION, _BILLION = 10**3, 10**6, 10**9
# Years and months are apart from seconds: their length in seconds varies.
DIMENSIONS = (
    _units(
        ("meter", "m", 1, 1),
        ("kilometer", "km", _THOUSAND, 1),
        ("centimeter", "cm", 1, 100),
        ("millimeter", "mm", 1, _THOUSAND),
        ("micrometer", "um", 1, _MILLION),
        ("nanometer", "nm", 1, _BILLION),
    ),
    _units(
        ("second", "s", 1, 1),
        ("minute", "", 60, 1),
        ("hour", "", 60 * 60, 1),
        ("day", "", 24 * 60 * 60, 1),
        ("week", "", 7 * 24 * 60 * 60, 1),
        ("millisecond", "ms", 1, _THOUSAND),
        ("microsecond", "us", 1, _MILLION),
        ("nanosecond", "ns", 1, _BILLION),
    ),
    _units(
        ("year", "", 1, 1),
        ("decade", "", 10, 1),
        ("century", "", 100, 1),
        ("millennium", "", 1000, 1),
        ("month", "", 1, 12),
    ),
    _units(
        ("kilogram", "kg", 1, 1),
        ("tonne", "t", _THOUSAND, 1),
        ("gram", "g", 1, _THOUSAND),
        ("milligram", "mg", 1, _MILLION),
        ("microgram", "ug", 1, _BILLION),
        ("nanogram", "ng", 1, 10**12),
    ),
    _units(("litre", "l", 1, 1), ("millilitre", "ml", 1, _THOUSAND)),
)


class Rate(NamedTuple):
    """How many of one unit another is: numerator / denominator.

    An amount is multiplied by `odd`, the denominator without its twos and fives, so that the answer is a decimal:
    amount * odd * numerator / denominator = amount * scale / 10**places.
    """

    numerator: int
    denominator: int
    odd: int
    scale: int
    places: int


def _rate(old: Unit, new: Unit) -> Rate:
    rate = old.size / new.size
    odd, places = rate.denominator, 0
    for prime in (2, 5):
        while odd % prime == 0:
            odd //= prime
    while 10**places % (rate.denominator // odd):
        places += 1
    return Rate(rate.numerator, rate.denominator, odd, rate.numerator * 10**places * odd // rate.denominator, places)


_RATES = {(old, new): _rate(old, new) for units in DIMENSIONS for old in units for new in units}
_TEMPLATES = (
    "How many {new} are there in {amount}?",
    "What is {amount} in {new}?",
    "Convert {amount} to {new}.",
)
_TRAIN = (5, 7)
_MOST = POWERS[_TRAIN[1] * DIGIT]
_LARGEST_ANSWER = 100_000


@module(
    "measurement__conversion",
    train=_TRAIN,
    interpolate=(7, 7),
    extrapolate=(9, 9),
    beyond=("", "decimals of more than 7 significant digits"),
    sizes="of a decimal amount; fractions are of about 100 numerators and denominators at any entropy",
)
def conversion(context: Context, entropy: int) -> tuple[str, str]:
    """An amount of length, time, mass or volume in another unit, as a decimal or, half of the time, a fraction."""
    if context.extrapolates or context.below(2):
        return _decimal_conversion(context, entropy)
    return _fraction_conversion(context)


def _pair(context: Context) -> tuple[Unit, Unit]:
    units = context.choice(DIMENSIONS)
    first, second = context.below(len(units)), context.below(len(units) - 1)
    return units[first], units[second + (second >= first)]


def _decimal_conversion(context: Context, entropy: int) -> tuple[str, str]:
    old, new = _pair(context)
    rate = _RATES[old, new]
    while True:
        if context.extrapolates:
            number = context.between(_MOST + 1, POWERS[entropy])
        else:
            number = context.below(POWERS[entropy] + 1)
        places = context.between(1, -(-entropy // DIGIT))
        if number % 10 if context.extrapolates else number % 10**places:
            break
    amount = decimal(number * rate.odd, places)
    context.group = amount.text
    answer = decimal(number * rate.scale, places + rate.places)
    if old.symbol and context.below(2):
        text = f"{amount.text}{old.symbol}"
    else:
        text = f"{amount.text} {old.plural}"
    return context.choice(_TEMPLATES).format(new=new.plural, amount=text), answer.text


def _fraction_conversion(context: Context) -> tuple[str, str]:
    """A fraction of a unit that is a whole number of another."""
    while True:
        old, new = _pair(context)
        upper = context.below(2 * DIGIT + 1)
        amount = fraction(draw_positive(context, upper), draw_positive(context, 2 * DIGIT - upper, 2))
        rate = _RATES[old, new]
        answer, rest = divmod(amount.numerator * rate.numerator, amount.denominator * rate.denominator)
        if amount.places and not rest and answer <= _LARGEST_ANSWER:
            break
    context.group = amount.text
    text = fraction_in_words(amount) if amount.denominator <= 20 and context.below(2) else amount.text
    # One does not say "convert three quarters of a litre".
    template = context.choice(_TEMPLATES[:2])
    return template.format(new=new.plural, amount=f"{text} of a {old.name}"), str(answer)


_DAY = 24 * 60


@module("measurement__time", train=(0, 12), interpolate=(0, 12), sizes="hours that the stretch of time has at most")
def time(context: Context, entropy: int) -> tuple[str, str]:
    """A time of day some minutes before or after another, or the minutes between two, less than twelve hours."""
    minutes = max(1, min(_DAY // 2 - 1, (entropy * 60 + context.below(60)) // DIGIT))
    start = context.between(1, _DAY - 1)
    first, second = _clock(start), _clock(start + minutes)
    context.group = str(minutes)
    kind = context.below(4)
    if kind == 0:
        return f"What is {minutes} minutes before {second}?", first
    if kind == 1:
        return f"What is {minutes} minutes after {first}?", second
    return f"How many minutes are there between {first} and {second}?", str(minutes)


def _clock(minutes: int) -> str:
    """`3:07 PM` of minutes since midnight."""
    hours, minutes = divmod(minutes % _DAY, 60)
    return f"{(hours - 1) % 12 + 1}:{minutes:02} {'AM' if hours < 12 else 'PM'}"
