"""People in questions: names and pronouns as entities, drawn apart from everything else.

Who a question speaks of never enters its random numbers, so the same index under other settings is the same question
about someone else: its counterfactual, with the same answer.
"""

import dataclasses
from typing import NamedTuple

from data_pipelines.modular_math.composition import Context
from data_pipelines.modular_math.registry import Settings

# By origin and pronoun, given names that are common there; the names in one place are each other's counterfactuals.
NAMES = {
    "english": {
        "she": ("Alice", "Emma", "Grace", "Lucy", "Olivia", "Sarah"),
        "he": ("Adam", "Edward", "George", "Liam", "Oliver", "Simon"),
        "they": ("Alex", "Ellis", "Gray", "Logan", "Quinn", "Sam"),
    },
    "spanish": {
        "she": ("Ana", "Carmen", "Elena", "Lucia", "Maria", "Sofia"),
        "he": ("Antonio", "Carlos", "Enrique", "Luis", "Miguel", "Santiago"),
        "they": ("Ariel", "Cruz", "Guadalupe", "Jael", "Noa", "Trinidad"),
    },
    "indian": {
        "she": ("Aditi", "Divya", "Kavita", "Meera", "Priya", "Sunita"),
        "he": ("Arjun", "Deepak", "Karthik", "Mohan", "Rahul", "Suresh"),
        "they": ("Amrit", "Harpreet", "Jaspreet", "Kiran", "Manjit", "Shashi"),
    },
    "arabic": {
        "she": ("Aisha", "Fatima", "Layla", "Mariam", "Noor", "Yasmin"),
        "he": ("Ahmed", "Faisal", "Khalid", "Mustafa", "Omar", "Yusuf"),
        "they": ("Amal", "Ihsan", "Jihan", "Nour", "Sabah", "Wisam"),
    },
    "nigerian": {
        "she": ("Adaeze", "Chioma", "Folake", "Ngozi", "Sade", "Yewande"),
        "he": ("Adebayo", "Chinedu", "Femi", "Nnamdi", "Segun", "Yakubu"),
        "they": ("Ayo", "Chidi", "Ife", "Kelechi", "Temi", "Uche"),
    },
    "chinese": {
        "she": ("Fang", "Hui", "Lan", "Mei", "Xiu", "Yan"),
        "he": ("Bo", "Hao", "Jun", "Long", "Qiang", "Tao"),
        "they": ("An", "Jia", "Lin", "Ming", "Rui", "Xin"),
    },
}
_PLACES = 6
_SWAPPED = {"she": "he", "he": "she", "they": "they"}


class Person(NamedTuple):
    """A name with its pronouns and the verbs that go with them."""

    name: str
    she: str
    her: str
    hers: str
    has: str
    is_: str
    does: str
    s: str

    def words(self) -> dict[str, str]:
        """For str.format: {A} the name, {She} and {she}, {her} (object), {hers} (possessive), {has}, {is_}, {does}, {s}
        for a verb's ending.
        """
        words = self._asdict()
        words["A"] = words.pop("name")
        words["She"] = self.she.capitalize()
        return words


_FORMS = {
    "she": ("she", "her", "her", "has", "is", "does", "s"),
    "he": ("he", "him", "his", "has", "is", "does", "s"),
    "they": ("they", "them", "their", "have", "are", "do", ""),
}


@dataclasses.dataclass(frozen=True)
class WordProblem(Settings):
    """Settings of word problems. Neither of these moves any number: question i is the same but for its people.

    Attributes:
      pronouns: 'drawn', each person's own; 'swapped', with she and he exchanged; 'she', 'he' or 'they' for all.
      names: 'drawn', or the origin that all names come from.
    """

    pronouns: str = "drawn"
    names: str = "drawn"

    def __post_init__(self):
        super().__post_init__()
        self.one_of("pronouns", ("drawn", "swapped", *_FORMS))
        self.one_of("names", ("drawn", *NAMES))

    def changed(self):
        return [(name, value) for name, value in super().changed() if name not in ("pronouns", "names")]

    def limits(self, split: str) -> tuple[int, int]:
        # A longer name must not draw another question.
        return 1_000, super().limits(split)[1]


def cast(context: Context, count: int) -> list[Person]:
    """`count` people with different names. No number beside them goes by a letter that is a word."""
    context.reserve("ai")
    settings = context.settings
    people = []
    for place in context.shuffled(range(_PLACES))[:count]:
        origin, pronoun = context.choice(tuple(NAMES)), context.choice(tuple(_FORMS))
        if settings.pronouns == "swapped":
            pronoun = _SWAPPED[pronoun]
        elif settings.pronouns != "drawn":
            pronoun = settings.pronouns
        if settings.names != "drawn":
            origin = settings.names
        people.append(Person(NAMES[origin][pronoun][place], *_FORMS[pronoun]))
    return people
