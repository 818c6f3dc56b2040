"""Sweeps of maths and chat language models that anyone can run, watch and trust."""

import os

__version__ = "0.1.0"

# Taken before anything slow is imported: a parent that is gone by the time a trial looks would never be missed.
PARENT = os.getppid()
