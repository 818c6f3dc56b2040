"""Questions by index: infinite, random access, the same in every process."""

import dataclasses
import operator
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple, SupportsIndex

from data_pipelines import BadInput
from data_pipelines.modular_math import modules as _all_modules  # noqa: F401 - importing fills the registry
from data_pipelines.modular_math import registry
from data_pipelines.modular_math.composition import Context, Redraw
from data_pipelines.modular_math.random import splitmix64, stream_key
from data_pipelines.splits import SPLITS, split_of

_LENGTH = 1 << 48
# A split holds an eighth of all questions or more: so many misses mean that there are hardly any questions at all.
_MOST_CANDIDATES = 5_000
_SHARED_BY = 4
_ALL = "*"
# Of a module that others ask through: three quarters of a digit, the easiest of Saxton et al. shared by four.
_LEAST_SHARE = 12


class Question(NamedTuple):
    """A question with its answer; `index` is its place in its source."""

    module: str
    question: str
    answer: str
    index: int  # type: ignore[assignment]  # a field here, not tuple.index


class _Generator:
    """The questions of one module in one split."""

    def __init__(self, name: str, split: str, seed: int, settings: registry.Settings):
        self._module = registry.find(name)
        self._split = split
        self._settings = settings
        self._key = stream_key("questions", seed, name, split, repr(settings.changed()))
        self._entropies = self._module.entropies(split, settings)
        self._modules = self._module.modules(settings)
        self._limits = settings.limits(split)

    def question(self, index: int) -> Question:
        module = self._module
        generate = module.generate
        fewest, most = self._modules
        lowest, highest = self._entropies
        longest_question, longest_answer = self._limits
        extrapolates = self._split == "extrapolate"
        context = Context(self._key, index, self._settings, extrapolates)
        for _ in range(_MOST_CANDIDATES):
            entropy = context.between(lowest, highest)
            if most > 1:
                count = context.between(fewest, most)
                # Deeper than Saxton et al. go, each module keeps what it has there at the least.
                entropy //= min(count, _SHARED_BY)
                context.start(count - 1, max(entropy, _LEAST_SHARE), longest_question, longest_answer)
            else:
                context.start(0, 0, longest_question, longest_answer)
            try:
                question, answer = generate(context, entropy)
            except Redraw:
                continue
            if len(question) > longest_question or len(answer) > longest_answer:
                continue
            if extrapolates or split_of(context.group or question) == self._split:
                return Question(module.name, question, answer, index)
        raise BadInput(
            f"module {module.name}: {_MOST_CANDIDATES} draws gave no question for split {self._split!r}; "
            "these settings allow too few different questions, widen them"
        )


class QuestionSource:
    """The questions of one split, of one module or of several mixed evenly: a pure function of the arguments and i.

    A Grain random-access data source; it pickles as its arguments. Question i of a mixture is question i of the module
    that i falls to.

    Args:
      modules: names of modules.
      split: train, validation, interpolate or extrapolate.
      seed: a different stream of questions for each; the assignment to splits does not depend on it.
      settings: for each module that is not to have its defaults, its settings.

    Raises:
      BadInput: an unknown module, split or setting, or a module that does not extrapolate asked to.
    """

    def __init__(
        self,
        modules: tuple[str, ...],
        split: str,
        seed: int,
        settings: Mapping[str, registry.Settings] | None = None,
    ):
        if split not in SPLITS:
            raise BadInput(f"no split {split!r}{registry.nearest(split, SPLITS)}; there are {', '.join(SPLITS)}")
        self.modules = tuple(modules)
        self.split = split
        self.seed = seed
        self.settings = dict(settings or {})
        for name in self.modules:
            module = registry.find(name)
            self.settings.setdefault(name, module.settings())
            if (
                split == "extrapolate"
                and self.settings[name] not in module.extrapolations(self.settings[name]).values()
            ):
                raise BadInput(f"module {name} with {self.settings[name]} has no single extrapolation set")
        self._mixer = splitmix64(seed & ((1 << 64) - 1))
        self._generators = [_Generator(name, split, seed, self.settings[name]) for name in self.modules]

    def __reduce__(self):
        return QuestionSource, (self.modules, self.split, self.seed, self.settings)

    def __repr__(self) -> str:
        return (
            f"QuestionSource(modules={self.modules}, split={self.split!r}, seed={self.seed}, settings={self.settings})"
        )

    def __len__(self) -> int:
        return _LENGTH

    def __getitem__(self, index: SupportsIndex) -> Question:
        # Grain may ask with a NumPy integer.
        index = operator.index(index)
        if not 0 <= index < _LENGTH:
            raise IndexError(index)
        generators = self._generators
        if len(generators) == 1:
            return generators[0].question(index)
        return generators[splitmix64(self._mixer ^ index) % len(generators)].question(index)


@dataclasses.dataclass(frozen=True)
class ModularMath:
    """A data set of generated questions.

    Attributes:
      modules: names of modules, as in Saxton et al. 2019; a `_composed` one asks through definitions of other modules.
      seed: draws other questions; never moves one to another split.
      settings: module -> setting -> value; `registry.find(module).settings` documents what can be set. Under "*" stands
        what all modules share; a module's own win. Those of a module that is not among `modules` wait until it is.

    Raises:
      BadInput: an unknown module or setting, or a wrong value.
    """

    modules: tuple[str, ...] = ("arithmetic__add_or_sub",)
    seed: int = 0
    settings: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if isinstance(self.modules, str):
            raise BadInput(f"modules takes a tuple of names, ({self.modules!r},), not {self.modules!r}")
        if not self.modules:
            raise BadInput("modules is empty")
        for name in self.settings:
            if name not in (*registry.names(), _ALL):
                raise BadInput(f"settings for {name!r}, which is no module{registry.nearest(name, registry.names())}")
            if name != _ALL and name not in self.modules:
                registry.find(name).configure({**self.settings.get(_ALL, {}), **self.settings[name]})
        self._configured()

    def _configured(self) -> dict[str, registry.Settings]:
        shared = self.settings.get(_ALL, {})
        return {name: registry.find(name).configure({**shared, **self.settings.get(name, {})}) for name in self.modules}

    def sets(self, split: str) -> dict[str, QuestionSource]:
        """The sets of a split by name: a module's under its name, of extrapolation under that in Saxton et al.
        (arithmetic__mul_big) or by length as `50_digits`, where several modules have such, arithmetic__mul_50_digits.
        May be empty.
        """
        named = {
            name: registry.find(name).extrapolations(settings) if split == "extrapolate" else {name: settings}
            for name, settings in self._configured().items()
        }
        counts = Counter(label for labels in named.values() for label in labels)
        found = {}
        for name, sets in named.items():
            for label, special in sets.items():
                found[f"{name}_{label}" if counts[label] > 1 else label] = QuestionSource(
                    (name,), split, self.seed, {name: special}
                )
        return found

    def mixture(self, split: str) -> QuestionSource:
        """All modules mixed evenly. For extrapolation, those that have one set of it; BadInput where none has."""
        configured = self._configured()
        if split == "extrapolate":
            configured = {n: s for n, s in configured.items() if s in registry.find(n).extrapolations(s).values()}
            if not configured:
                raise BadInput(f"no extrapolation set for {', '.join(self.modules)}")
        return QuestionSource(tuple(configured), split, self.seed, configured)

    def train_source(self) -> QuestionSource:
        """The training questions of all modules, mixed evenly."""
        return self.mixture("train")
