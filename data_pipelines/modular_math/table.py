"""The table of all modules: what each asks and what its sets draw from. `python -m data_pipelines.modular_math.table`
prints MODULES.md.
"""

from collections.abc import Sequence

from data_pipelines.modular_math import modules as _all_modules  # noqa: F401 - importing fills the registry
from data_pipelines.modular_math import registry

_HEAD = """\
# The modules

Made by `python -m data_pipelines.modular_math.table` from what the modules say of themselves.

To add a module, write a new file in `modules/`: a function with the decorator and a docstring, which becomes its line
here. What `modules/__init__.py` shows is such a file, and a test runs it. Then run the command above.

*Size* is drawn evenly between the two numbers given for a set: an entropy of n digits means about 10**n equally likely
questions, shared among the numbers of a question as the last column says, and among its modules where it is composed of
several. `difficulty` `easy`, `medium` and `hard` draw from that third of the training range. Interpolation lies within
the training range, extrapolation outside of it.

| module | asks for | modules | training | interpolation | extrapolation | size is |
|---|---|---|---|---|---|---|
"""


def markdown(names: Sequence[str] = ()) -> str:
    """The table, a line for each module, or for each of `names`."""
    return _HEAD + "".join([_row(registry.find(name)) for name in names or registry.names()])


def _row(module: registry.Module) -> str:
    about = " ".join((module.generate.__doc__ or "").split()).rstrip(".")
    beyond = ""
    if module.extrapolate:
        name = module.extrapolation_name.partition("__")[2]
        beyond = f"{_span(module.extrapolate)}: `{name}`, {module.beyond[1]}"
    cells = (
        f"`{module.name}`",
        about,
        _span(module.composed),
        _span(module.train),
        _span(module.interpolate),
        beyond,
        module.sizes or "digits",
    )
    return f"| {' | '.join(cells)} |\n"


def _span(ends: tuple[float, float]) -> str:
    low, high = ends
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


if __name__ == "__main__":
    print(markdown(), end="")
