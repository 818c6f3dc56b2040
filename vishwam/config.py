"""An experiment from its Gin files: knobs checked, dataclasses built, both config strings taken.

Gin stays at this edge. The *knobs* are the macros that stand at the top of the Gin files named on the command line;
only they can be overridden, each by a value of the type that the code declares. Everything else in those files
binds fields of the frozen dataclasses below. Files are parsed here statement by statement, with Gin's own parser,
so that every complaint has its file and line; an `import`, which would run code, is refused.
"""

import dataclasses
import importlib
import re
import threading
import tokenize
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gin
from gin import config_parser

from vishwam.errors import BadInput
from vishwam.knobs import Knob, convert, kind_of, nearest, unknown

# The dataclasses that Gin files may configure, the experiment's own first.
CONFIGURABLES = (
    "vishwam.training.experiment:Experiment",
    "vishwam.training.experiment:LoopConfig",
    "vishwam.training.experiment:PackingConfig",
    "vishwam.training.experiment:TokenizerConfig",
    "vishwam.training.optimizer:Knobs",
    "vishwam.fairness.bias:BiasConfig",
    "vishwam.model.config:DecoderConfig",
    "data_pipelines.modular_math.source:ModularMath",
    "data_pipelines.planted_bias:PlantedBias",
)
MAX_INCLUDE_LEVELS = 2

# Gin's configuration is global to the process: one experiment is read at a time.
_lock = threading.RLock()
_registered: dict[type, Any] = {}


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What Gin files and overrides say, as plain objects: nothing of Gin's global state is needed any longer."""

    experiment: Any  # `vishwam.training.experiment.Experiment`
    knobs: dict[str, Any]  # the value in force of each knob
    declared: dict[str, Knob]
    uses: dict[str, frozenset[str]]  # knob -> the fields it sets, as `DecoderConfig.num_layers`
    config_str: str  # what was bound; loads again as a Gin file
    operative_config_str: str  # what was used, with the defaults of the code


def configurables() -> tuple[type, ...]:
    """The dataclasses of `CONFIGURABLES`, imported now: they come with the libraries that they configure."""
    found = []
    for path in CONFIGURABLES:
        module, _, name = path.partition(":")
        found.append(getattr(importlib.import_module(module), name))
    return tuple(found)


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Gin files and `name=value` overrides of a command line, in their order.

    Raises:
        BadInput: an argument is neither, or there is no Gin file.
    """
    files = [argument for argument in arguments if argument.endswith(".gin") and "=" not in argument]
    overrides = [argument for argument in arguments if argument not in files]
    for override in overrides:
        if not re.fullmatch(r"\w+=.*", override, re.DOTALL):
            raise BadInput(f"'{override}' is neither a Gin file (name.gin) nor a knob (name=value)")
    if not files:
        raise BadInput("no Gin file given; for example gin/math.gin")
    return files, overrides


def load(
    gin_files: Sequence[str | Path], overrides: Sequence[str] = (), classes: Sequence[type] | None = None
) -> Loaded:
    """Reads Gin files, sets knobs, builds the experiment.

    Args:
        gin_files: later files override earlier ones.
        overrides: `name=value`, one a knob.
        classes: the configurable dataclasses, the one to build first; `configurables()` unless given.

    Raises:
        BadInput: one line with file and line, or the knob, and the nearest right name.
    """
    classes = configurables() if classes is None else tuple(classes)
    with _lock:
        gin.clear_config()
        try:
            makers = {cls.__name__: _register(cls) for cls in classes}
            reader = _Reader(classes)
            for file in gin_files:
                reader.read(Path(file), level=0)
            values = reader.bind(overrides)
            gin.finalize()
            experiment = reader.build(makers[classes[0].__name__], values)
            return Loaded(
                experiment=experiment,
                knobs=values,
                declared=reader.knobs,
                uses={name: frozenset(f"{cls}.{field}" for cls, field in reader.uses[name]) for name in reader.knobs},
                config_str=gin.config_str(max_line_length=120),
                operative_config_str=gin.operative_config_str(max_line_length=120),
            )
        finally:
            gin.clear_config()


def _register(cls: type) -> Any:
    # Registering a class a second time would make a second wrapper under the same name.
    if cls not in _registered:
        _registered[cls] = gin.external_configurable(cls)
    return _registered[cls]


@dataclasses.dataclass(frozen=True)
class _Binding:
    cls: str
    field: str
    value: Any
    place: str


class _References(config_parser.ParserDelegate):
    """Makes Gin's references, and remembers the names that a statement refers to."""

    def __init__(self, names: Sequence[str]):
        self._gin = gin.config.ParserDelegate()
        self._names = names
        self.macros: list[str] = []

    def configurable_reference(self, scoped_configurable_name: str, evaluate: bool) -> Any:
        name = scoped_configurable_name.rpartition("/")[2]
        if name not in self._names:
            raise ValueError(f"unknown configurable '@{name}'{nearest(name, self._names)}")
        return self._gin.configurable_reference(scoped_configurable_name, evaluate)

    def macro(self, macro_name: str) -> Any:
        self.macros.append(macro_name)
        return self._gin.macro(macro_name)


class _Reader:
    """Gathers the statements of Gin files, then binds them: knobs need the types of the fields that they set."""

    def __init__(self, classes: Sequence[type]):
        self.knobs: dict[str, Knob] = {}
        self.uses: dict[str, set[tuple[str, str]]] = {}
        self._hints = {cls.__name__: _field_types(cls) for cls in classes}
        self._constants: dict[str, str] = {}  # macros of included files -> place
        self._bindings: dict[tuple[str, str, str], _Binding] = {}
        self._references: dict[str, str] = {}  # macro -> place of its first use
        self._values: dict[str, Any] = {}  # of the constants
        self._given: dict[str, Any] = {}  # knob -> value, of the overrides

    def read(self, path: Path, level: int, included_from: str = "") -> None:
        """Takes in one file; `level` counts the includes above it."""
        file = str(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise BadInput(f"{included_from}cannot read Gin file '{file}': {reason}{_nearest_file(path)}") from None
        delegate = _References(tuple(self._hints))
        last = ""  # the kind of the statement before: includes, then knobs, then bindings
        for statement in _statements(text, file, delegate):
            place = f"{file}:{statement.location.line_num}"
            for name in delegate.macros:
                self._references.setdefault(name, place)
            if isinstance(statement, config_parser.ImportStatement):
                raise BadInput(f"{place}: a Gin file imports nothing; what it may configure is in vishwam/config.py")
            if isinstance(statement, config_parser.IncludeStatement):
                if last:
                    raise BadInput(f"{place}: includes stand at the top, for they override what is above them")
                if level == MAX_INCLUDE_LEVELS:
                    raise BadInput(f"{place}: includes nest at most {MAX_INCLUDE_LEVELS} levels deep")
                self.read(path.parent / statement.filename, level + 1, included_from=f"{place}: ")
            elif isinstance(statement, config_parser.BindingStatement):
                if statement.arg_name:
                    last = "binding"
                    self._add_binding(statement, place)
                else:
                    if last == "binding":
                        raise BadInput(f"{place}: '{statement.selector}' is below the bindings; knobs stand at the top")
                    last = "knob"
                    self._add_macro(statement, delegate.macros, file, place, level)
            delegate.macros.clear()

    def _add_macro(self, statement: Any, references: list[str], file: str, place: str, level: int) -> None:
        name, value = statement.selector, statement.value
        if statement.scope or "." in name:
            raise BadInput(f"{place}: '{name}' is no plain name for a knob")
        if references or any(True for _ in gin.config.iterate_references({"value": value})):
            raise BadInput(f"{place}: knob '{name}' needs a plain value, not a reference")
        if level:
            self._constants[name] = place
            self._values[name] = value
            return
        self.knobs[name] = Knob(name, value, kind_of(value), file, statement.location.line_num)

    def _add_binding(self, statement: Any, place: str) -> None:
        cls, field = statement.selector.rpartition(".")[2], statement.arg_name
        if cls not in self._hints:
            raise BadInput(f"{place}: unknown configurable '{statement.selector}'{nearest(cls, self._hints)}")
        if field not in self._hints[cls]:
            raise BadInput(f"{place}: {cls} has no field '{field}'{nearest(field, self._hints[cls])}")
        self._bindings[statement.scope, cls, field] = _Binding(cls, field, statement.value, place)

    def bind(self, overrides: Sequence[str]) -> dict[str, Any]:
        """Hands everything to Gin; the value in force of each knob."""
        self._type_knobs()
        for override in overrides:
            name, _, text = override.partition("=")
            if name in self._given:
                raise BadInput(f"knob '{name}' is given twice")
            self._given[name] = self._find(name).read(text)
            if not self.uses[name]:
                raise BadInput(f"knob '{name}' sets nothing here: a later file binds anew what it set")
        # What a later file left without use is not stored, either: a file that declares such a knob is refused.
        values = {name: self._given.get(name, knob.default) for name, knob in self.knobs.items() if self.uses[name]}
        for name, value in {**self._values, **values}.items():
            if self.uses[name]:
                gin.bind_parameter(f"%{name}", value)
        for (scope, cls, field), binding in self._bindings.items():
            gin.bind_parameter((scope, cls, field), self._checked(binding, values))
        return values

    def _find(self, name: str) -> Knob:
        if name in self.knobs:
            return self.knobs[name]
        if name in self._constants:
            files = " or ".join(sorted({knob.file for knob in self.knobs.values()})) or "the Gin file"
            raise BadInput(f"'{name}' is no knob: {self._constants[name]} sets it; declare it at the top of {files}")
        for (_, cls, field), binding in self._bindings.items():
            if field == name:
                raise BadInput(f"'{name}' is no knob: {binding.place} binds {cls}.{name}; give it a macro")
        raise BadInput(unknown(name, self.knobs))

    def _type_knobs(self) -> None:
        """Gives each knob the type of the fields that it sets, and proves that it sets one."""
        declared = {**self._constants, **{name: knob.place for name, knob in self.knobs.items()}}
        for name, place in self._references.items():
            if name not in declared:
                raise BadInput(f"{place}: no macro '{name}' is declared{nearest(name, declared)}")
        for name, place in declared.items():
            if name not in self._references:
                raise BadInput(f"{place}: knob '{name}' is never used; bind it as %{name} or remove it")
        self.uses = {name: set() for name in declared}
        kinds: dict[str, Any] = {}
        for binding in self._bindings.values():
            for name in _macros(binding.value):
                self.uses[name].add((binding.cls, binding.field))
            if name := _macro(binding.value):
                kinds.setdefault(name, self._hints[binding.cls][binding.field])
        for name, kind in kinds.items():
            if name in self.knobs:
                knob = self.knobs[name]
                try:
                    default = convert(knob.default, kind)
                except ValueError as error:
                    raise BadInput(f"{knob.place}: knob '{name}': {error}") from None
                self.knobs[name] = dataclasses.replace(knob, kind=kind, default=default)

    def _checked(self, binding: _Binding, knobs: Mapping[str, Any]) -> Any:
        value, kind = binding.value, self._hints[binding.cls][binding.field]
        knob = _macro(value)
        if not knob and isinstance(value, gin.config.ConfigurableReference):
            cls = value.configurable.wrapped
            kinds = typing.get_args(kind) or (kind,)
            classes = [c for c in kinds if isinstance(c, type) and dataclasses.is_dataclass(c)]
            if classes and not (value.evaluate and cls in classes):
                expected = " or ".join(f"@{c.__name__}()" for c in classes)
                raise BadInput(f"{binding.place}: {binding.cls}.{binding.field}: expected {expected}, got {value}")
            return value
        if not knob and any(True for _ in gin.config.iterate_references({"value": value})):
            return value  # a container of references: the dataclass itself says what it takes
        if knob and knob not in knobs:
            return value
        try:
            converted = convert(knobs[knob] if knob else value, kind)
        except ValueError as error:
            cause = f" (knob '{knob}')" if knob else ""
            raise BadInput(f"{binding.place}: {binding.cls}.{binding.field}{cause}: {error}") from None
        return value if knob else converted

    def build(self, make: Any, values: Mapping[str, Any]) -> Any:
        """The experiment's dataclass and all below it, whose own checks (`__post_init__`) run here."""
        try:
            return make()
        except (ValueError, TypeError, OverflowError) as error:
            # Gin puts "In call to configurable 'X' (<class>)" behind the message, once a level.
            message, *calls = str(error).split("\n  In call to configurable ")
            cls = re.match(r"'(?:\w+\.)*(\w+)'", calls[0]) if calls else None
            name = cls.group(1) if cls else ""
            raise BadInput(self._explain(name, " ".join(message.split()), values)) from None

    def _explain(self, cls: str, message: str, values: Mapping[str, Any]) -> str:
        """Puts in front of a dataclass's complaint the knob, or the line, that sets the field it mentions."""
        choice = re.search(r"one of (.+), not '(.*)'$", message)
        if choice:
            message += nearest(choice.group(2), choice.group(1).split(", "))
        words = set(re.findall(r"\w+", message))

        def rank(blamed: tuple[_Binding, str]) -> tuple[bool, bool]:
            # What was overridden is at fault before what the file says; and a class may speak of one below it.
            return blamed[1] not in self._given, blamed[0].cls != cls

        mentioned = [(binding, _macro(binding.value)) for binding in self._bindings.values() if binding.field in words]
        # A setting inside a mapping goes by the name of its knob.
        mentioned += [
            (b, name) for b in self._bindings.values() for name in _macros(b.value) if name in words & set(values)
        ]
        for binding, knob in sorted(mentioned, key=rank):
            if knob in self._given:
                return f"{knob}={values[knob]}: {message}"
            if knob in values:
                return f"{self.knobs[knob].place}: knob {knob}={values[knob]}: {message}"
            return f"{binding.place}: {message}"
        missing = re.search(r"missing \d+ required .*?arguments?: (.*?)(?: No values| Gin had|$)", message)
        if missing:
            return f"{cls} needs values for {missing.group(1)}; bind them in the Gin file"
        return f"{cls}: {message}" if cls else message


def _statements(text: str, file: str, delegate: _References) -> Any:
    """Gin's statements of `text`, its complaints as `BadInput` with file and line."""
    parser = None
    try:
        parser = config_parser.ConfigParser(text, delegate)
        yield from parser
    except (SyntaxError, tokenize.TokenError) as error:
        line = error.lineno if isinstance(error, SyntaxError) else error.args[1][0]
        message = str(error.msg if isinstance(error, SyntaxError) else error.args[0]).rstrip(".")
        raise BadInput(f"{file}:{line}: {_one_line(message)}") from None
    except ValueError as error:
        line = parser.current_token.start[0] if parser else 1
        raise BadInput(f"{file}:{line}: {_one_line(str(error))}") from None


def _one_line(message: str) -> str:
    """Gin's complaint on a value that is no literal, which shows Python's syntax tree, put for people."""
    token = re.search(r"Failed to parse token '(.*)'", message)
    if token or "parse value" in message:
        value = f" '{token.group(1)}'" if token else ""
        return f"cannot read the value{value}: text needs quotes, and it is True, False and None"
    return message.splitlines()[0]


def _field_types(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    fields = [field for field in dataclasses.fields(cls) if field.init]
    # Fields of a pytree that may hold arrays are typed Any: their defaults say what a knob is.
    return {
        field.name: kind_of(field.default)
        if hints[field.name] is Any and field.default is not dataclasses.MISSING
        else hints[field.name]
        for field in fields
    }


def _macros(value: Any) -> list[str]:
    references = gin.config.iterate_references({"value": value})
    return [_macro(reference) for reference in references if _macro(reference)]


def _macro(value: Any) -> str:
    """The macro that `value` refers to, or nothing."""
    if isinstance(value, gin.config.ConfigurableReference) and value.config_key[1] == "gin.macro":
        return value.config_key[0]
    return ""


def _nearest_file(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    return nearest(path.name, (other.name for other in path.parent.glob("*.gin")))
