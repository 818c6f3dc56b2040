"""Sweeps of maths and chat language models that anyone can run, watch and trust."""

__version__ = "0.1.0"
