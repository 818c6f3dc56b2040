"""The one error that is a person's to mend: printed as a single line, exit code 2."""


class BadInput(Exception):
    """Something in a file, a knob or an argument is wrong; the message names it and the nearest right thing."""
