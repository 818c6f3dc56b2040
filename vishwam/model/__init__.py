"""Decoders in pure Flax: no tracker, no files, only jax, flax and numpy.

Arrays carry their axes as letters: B batch, T time (tokens of a sequence), S time of keys, D model width, F
feed-forward width, H heads, K width of a head, V vocabulary, L layers.
"""
