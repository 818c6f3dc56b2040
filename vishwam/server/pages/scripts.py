"""The scripts of the pages as a browser gets them: all modules of a page in one answer, not in two dozen."""

import functools
import re
from importlib import resources
from pathlib import Path

STATIC = Path(str(resources.files("vishwam.server.pages"))) / "static"
_IMPORT = re.compile(r'^import (?:\{([^}]*)\} from )?"\./([\w.]+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?:async function|function|class|const) ([\w$]+)", re.MULTILINE)


def script(path: Path) -> str:
    """A script that may stand inside a page: nothing in it ends the element."""
    return path.read_text().replace("</script", "<\\/script").replace("<!--", "<\\!--")


@functools.cache
def bundle(name: str) -> str:
    """A module and all it imports as one: each inside a function that returns what it exports, in order of need."""
    done: dict[str, str] = {}

    def add(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise ValueError(f"{name} imports itself, by way of {above}")
        text = script(STATIC / name)
        for _, needed in _IMPORT.findall(text):
            if needed not in done:
                add(needed, (*above, name))
        text = _IMPORT.sub(
            lambda found: f"const {{{(found[1] or '').replace(' as ', ': ')}}} = {_scope(found[2])};", text
        )
        names = ", ".join(_EXPORT.findall(text))
        text = _EXPORT.sub(lambda found: found[0].removeprefix("export "), text)
        done[name] = f"const {_scope(name)} = await (async () => {{\n{text}\nreturn {{ {names} }};\n}})();"

    add(name, ())
    return "\n".join(done.values())


def _scope(name: str) -> str:
    return "in_" + name.removesuffix(".js")
