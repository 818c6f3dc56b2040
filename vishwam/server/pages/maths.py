"""Formulas: LaTeX as MathML, which browsers draw themselves, and the `$...$` and `$$...$$` of Markdown."""

import functools
import html
import re
from xml.etree.ElementTree import Element

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markupsafe import Markup, escape

LONGEST = 4000
DEEPEST = 60
# MathML Core, without anything that links, loads or runs.
_TAGS = {
    "math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "ms", "msup", "msub", "msubsup", "munder", "mover",
    "munderover", "mmultiscripts", "mprescripts", "none", "mfrac", "msqrt", "mroot", "mtable", "mtr", "mtd", "mstyle",
    "mpadded", "mphantom", "menclose", "merror",
}  # fmt: skip
_ATTRIBUTES = {
    "display", "displaystyle", "scriptlevel", "mathvariant", "stretchy", "fence", "form", "separator", "accent",
    "accentunder", "linethickness", "columnalign", "rowspacing", "columnspacing", "columnlines", "rowlines", "lspace",
    "rspace", "width", "height", "depth", "minsize", "maxsize", "movablelimits", "symmetric", "largeop", "notation",
}  # fmt: skip


@functools.lru_cache(512)
def formula(latex: str, block: bool = False) -> Markup:
    """The formula as MathML; its source as code where it cannot be read."""
    source = Markup('<code class="math">{}</code>').format(latex)
    if len(latex) > LONGEST:
        return source
    # A tenth of a second that a report without formulas need not wait.
    from latex2mathml.converter import convert_to_element

    try:
        tree = convert_to_element(latex, display="block" if block else "inline")
        return _write(tree, 0)
    except Exception:  # the library raises many kinds, KeyError and IndexError among them
        return source


def _write(element: Element, depth: int) -> Markup:
    """Written by us and not by the library, which leaves what stands inside \\text{} as it was."""
    if element.tag not in _TAGS or depth > DEEPEST:
        raise ValueError(f"{element.tag} is no MathML of ours")
    attributes = [
        Markup(' {}="{}"').format(name, value) for name, value in element.attrib.items() if name in _ATTRIBUTES
    ]
    inside = [_text(element.text)]
    for child in element:
        inside += [_write(child, depth + 1), _text(child.tail)]
    return Markup("<{0}{1}>{2}</{0}>").format(element.tag, Markup("").join(attributes), Markup("").join(inside))


def _text(text: str | None) -> Markup:
    """The library writes signs as entities; only these, and not what a person wrote, are undone."""
    return escape(re.sub(r"&#x[0-9A-Fa-f]{1,6};", lambda found: html.unescape(found[0]), text or ""))


def add_maths(markdown: MarkdownIt) -> None:
    """Teaches a Markdown reader `$x$` within a line and `$$x$$` on its own. A price of $5 or $6 is none."""
    markdown.inline.ruler.before("escape", "math", _rule)
    markdown.add_render_rule("math", lambda _, tokens, i, *__: str(formula(tokens[i].content, tokens[i].meta["block"])))


_INLINE = re.compile(r"\$(?![\s$])((?:[^$\\\n]|\\.)+?)(?<!\s)\$(?!\d)")
_BLOCK = re.compile(r"\$\$\s*((?:[^$\\]|\\.)+?)\s*\$\$", re.DOTALL)


def _rule(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] != "$":
        return False
    block = _BLOCK.match(state.src, state.pos)
    found = block or _INLINE.match(state.src, state.pos)
    if found is None:
        return False
    if not silent:
        token = state.push("math", "", 0)
        token.content = found[1]
        token.meta = {"block": bool(block)}
    state.pos = found.end()
    return True
