"""The modules, a file a topic; every file here is imported with the package, so a new module is a new file and nothing
else: command, table, tests and sweeps find it by the name in its decorator.

    from data_pipelines.modular_math.registry import module
    from data_pipelines.modular_math.values import draw_signed

    @module("numbers__double", composed=(2, 4))
    def double(context, entropy):
        'Twice an integer.'
        number = draw_signed(context, entropy)
        (p,) = context.write(number)
        return context.compose(f"What is twice {p}?"), str(2 * number)

The docstring is the module's line in MODULES.md (`python -m data_pipelines.modular_math.table`). A `@maker(*kinds)`
beside it lets other modules ask through it ("Let k be twice 21.").
"""

import importlib
import pkgutil

for _found in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_found.name}")
