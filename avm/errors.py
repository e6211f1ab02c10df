"""The base of every error of the host and its machines; each room beneath names its own."""


class AvmError(Exception):
    """Something went wrong in the host."""
