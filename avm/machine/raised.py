"""What a machine's own code may raise and answer for, and what interrupts whoever runs it. Pure.

Beside step 4 of the journey. To a worker no interrupt comes; a test runs steps in its own process.
"""

from opcode import opmap

RAISED = (Exception, SystemExit, KeyboardInterrupt, GeneratorExit)
RAISE = opmap["RAISE_VARARGS"]


def is_interrupt(error: BaseException) -> bool:
    """Whether it came from the keyboard, and no `raise` of a step made it."""
    if not isinstance(error, KeyboardInterrupt):
        return False
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return place is None or place.tb_frame.f_code.co_code[place.tb_lasti] != RAISE


__all__ = ["RAISED", "is_interrupt"]
