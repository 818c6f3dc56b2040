"""One file a topic, as in Saxton et al. 2019; every file here is imported when the registry is first used."""

import importlib
import pkgutil

for _found in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_found.name}")
