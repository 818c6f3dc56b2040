"""Where examples come from. Imports nothing of vishwam, nor jax."""


class BadInput(ValueError):
    """Something in a file or a setting is wrong; the message names it and the nearest right thing."""
