"""Questions about people and their things: words__change, words__compare, words__groups, words__journey, words__ages.

The numbers can be defined by other modules ("Let k be the remainder when 17 is divided by 6. Ada has k books."), the
people are entities of their own (people.py).
"""

from data_pipelines.modular_math.composition import Context
from data_pipelines.modular_math.people import WordProblem, cast
from data_pipelines.modular_math.registry import module
from data_pipelines.modular_math.values import DIGIT, draw_positive

_THINGS = (
    *("apples", "beads", "books", "buttons", "cards", "coins", "lemons", "marbles", "oranges", "pencils", "photos"),
    *("seeds", "shells", "stamps", "stickers", "tickets"),
)
_GAINS = (
    "{She} find{s} {n} more.",
    "{She} buy{s} {n} {things}.",
    "{B} gives {her} {n} {things}.",
    "{She} get{s} {n} more from {B}.",
)
_LOSSES = (
    "{She} lose{s} {n}.",
    "{She} give{s} {n} {things} to {B}.",
    "{She} sell{s} {n} of {hers} {things}.",
    "{B} borrows {n} of them from {her}.",
)
_NOW = ("How many {things} {does} {she} have now?", "How many {things} does {A} have in the end?")
_TRAIN = (1, 4)
_MOST_TRAIN_EVENTS = 3
_MORE_EVENTS = 2
# Of training; two is the least, so that every noun is a plural.
_LEAST = 2
_DIGITS = "digits of each number"


@module(
    "words__change",
    train=_TRAIN,
    interpolate=(3, 3),
    extrapolate=_TRAIN,
    beyond=("longer", f"1 or {_MORE_EVENTS} events more than the {_MOST_TRAIN_EVENTS} of training"),
    composed=(2, 4),
    settings=WordProblem,
    sizes=_DIGITS,
)
def change(context: Context, entropy: int) -> tuple[str, str]:
    """How many things someone has after getting and giving some."""
    first, second = cast(context, 2)
    things = context.choice(_THINGS)
    events = _MOST_TRAIN_EVENTS + context.between(1, _MORE_EVENTS) if context.extrapolates else context.between(1, 3)
    total = draw_positive(context, entropy, _LEAST)
    numbers, templates = [total], ["{A} has {n} {things}."]
    for _ in range(events):
        # Nobody gives what they do not have.
        gains = total <= _LEAST or context.below(2)
        number = draw_positive(context, entropy, _LEAST) if gains else context.between(_LEAST, total)
        total += number if gains else -number
        numbers.append(number)
        templates.append(context.choice(_GAINS if gains else _LOSSES))
    words = {**first.words(), "B": second.name, "things": things}
    handles = context.write(*numbers)
    told = [template.format(n=handle, **words) for template, handle in zip(templates, handles, strict=True)]
    told.append(context.choice(_NOW).format(**words))
    return context.compose(" ".join(told)), str(total)


_APART = (
    ("{A} has {p} {things} and {B} has {q}. How many more {things} does {A} have than {B}?", 1),
    ("{B} has {q} {things}. {A} has {p}. How many fewer {things} does {B} have than {A}?", 1),
    ("{B} counts {hers2} {things}: {q}. {A} has {p}. How many more would {B} need to have as many as {A}?", 1),
    ("{A} has {p} {things} and {B} has {q}. How many {things} do they have together?", 0),
    ("{A} collected {p} {things} and gave them to {B}, who had {q}. How many does {B} have now?", 0),
)


@module("words__compare", train=_TRAIN, interpolate=(3, 3), composed=(2, 4), settings=WordProblem, sizes=_DIGITS)
def compare(context: Context, entropy: int) -> tuple[str, str]:
    """How many things two people have together, or one more than the other."""
    first, second = cast(context, 2)
    few = draw_positive(context, entropy, _LEAST)
    many = few + draw_positive(context, entropy)
    template, apart = context.choice(_APART)
    p, q = context.write(many, few)
    words = {**first.words(), "B": second.name, "hers2": second.hers, "things": context.choice(_THINGS)}
    return context.compose(template.format(p=p, q=q, **words)), str(many - few if apart else many + few)


_CONTAINERS = ("bags", "boxes", "drawers", "jars", "shelves")
_TOGETHER = (
    "{A} has {p} {boxes} with {q} {things} in each. How many {things} {does} {she} have?",
    "Each of {A}'s {p} {boxes} holds {q} {things}. How many {things} {has} {she} got?",
)
_APIECE = (
    "{A} shares {p} {things} equally among {q} friends. How many {things} does each friend get?",
    "{A} puts {hers} {p} {things} into {q} {boxes}, the same number into each. How many {things} are in one?",
)
_LEFT = (
    "{A} shares {p} {things} equally among {q} friends and keeps the rest. How many {things} {does} {she} keep?",
    "{A} packs {p} {things} into {boxes} of {q} each. How many {things} {has} {she} left over?",
)


@module(
    "words__groups",
    train=_TRAIN,
    interpolate=(3, 3),
    composed=(2, 4),
    settings=WordProblem,
    sizes="digits of the result and of what it is made from",
)
def groups(context: Context, entropy: int) -> tuple[str, str]:
    """How many things are in equal groups, in one of them, or left over from them."""
    (person,) = cast(context, 1)
    count = draw_positive(context, entropy // 2, _LEAST)
    each = draw_positive(context, entropy, _LEAST)
    kind = context.below(3)
    if kind == 0:
        template, numbers, answer = context.choice(_TOGETHER), (count, each), count * each
    elif kind == 1:
        template, numbers, answer = context.choice(_APIECE), (count * each, count), each
    else:
        answer = context.below(count)
        template, numbers = context.choice(_LEFT), (count * each + answer, count)
    p, q = context.write(*numbers)
    words = {**person.words(), "boxes": context.choice(_CONTAINERS), "things": context.choice(_THINGS)}
    return context.compose(template.format(p=p, q=q, **words)), str(answer)


_HOW = ("walks", "drives", "cycles", "sails", "rides")
_FAR = "{A} {moves} {p} kilometers an hour for {q} hours. How many kilometers {does} {she} go?"
_LONG = "{A} {moves} {p} kilometers at {q} kilometers an hour. For how many hours {is_} {she} on the way?"
_FAST = "{A} {moves} {p} kilometers in {q} hours. How many kilometers {does} {she} go in an hour?"


@module(
    "words__journey", train=_TRAIN, interpolate=(3, 3), composed=(2, 4), settings=WordProblem, sizes="digits of the way"
)
def journey(context: Context, entropy: int) -> tuple[str, str]:
    """How far, how long or how fast someone goes."""
    (person,) = cast(context, 1)
    share = context.below(max(1, entropy - DIGIT // 2))
    speed, hours = draw_positive(context, share, _LEAST), draw_positive(context, entropy - share, _LEAST)
    template, numbers, answer = context.choice(
        (
            (_FAR, (speed, hours), speed * hours),
            (_LONG, (speed * hours, speed), hours),
            (_FAST, (speed * hours, hours), speed),
        )
    )
    p, q = context.write(*numbers)
    return context.compose(template.format(p=p, q=q, moves=context.choice(_HOW), **person.words())), str(answer)


_AGES = (
    "{A} is {p} years older than {B}. In {q} years {she} will be {r}. How old is {B} now?",
    "In {q} years {A} will be {r}, which is {p} years more than {B} will be then. How old is {B} now?",
)
_SUM_OF_AGES = "{A} and {B} are {q} years old together. {A} is {p} years younger than {B}. How old is {A}?"


@module(
    "words__ages",
    train=(1, 2),
    interpolate=(1.5, 1.5),
    composed=(2, 4),
    settings=WordProblem,
    sizes="digits of the younger one's age",
)
def ages(context: Context, entropy: int) -> tuple[str, str]:
    """How old someone is, from what two ages differ by and add up to, or when they reach a number."""
    first, second = cast(context, 2)
    age = draw_positive(context, entropy, _LEAST)
    apart = draw_positive(context, DIGIT, _LEAST)
    numbers: tuple[int, ...]
    if context.below(3):
        later = draw_positive(context, DIGIT, _LEAST)
        template, numbers = context.choice(_AGES), (apart, later, age + apart + later)
    else:
        template, numbers = _SUM_OF_AGES, (apart, 2 * age + apart)
    handles = dict(zip("pqr", context.write(*numbers), strict=False))
    return context.compose(template.format(B=second.name, **handles, **first.words())), str(age)
