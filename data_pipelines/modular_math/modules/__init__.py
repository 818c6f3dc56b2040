"""The modules, a file a topic; every file here is imported with the package, so a new module is a new file and nothing
else.

    @module("numbers__lcm", composed=(2, 4))
    def lcm(context, entropy):
        p, q = context.write(integer(...), integer(...))
        return context.compose(f"What is the lowest common multiple of {p} and {q}?"), answer

A `@maker(*kinds)` beside it lets other modules ask through it ("Let k be the lowest common multiple of 4 and 6.").
"""

import importlib
import pkgutil

for _found in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_found.name}")
