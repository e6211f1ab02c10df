"""Which tags stand in a body, without decoding it: the host looks, and never reads what is said.

Linear time: one pass over the heads, and none where the bytes of a tag do not occur at all.
"""

from collections.abc import Collection

from caps.frozen import LINEAR, RELEVANT, head

UNDROPPED = (LINEAR, RELEVANT)


def has_tag(body: bytes, tags: Collection[int]) -> bool:
    """Return whether any of our tags stands in the body of a value; the body is a sound one."""
    if not any(head(0xC0, tag) in body for tag in tags):
        return False
    at = 0
    while at < len(body):
        major, short = body[at] >> 5, body[at] & 0x1F
        at += 1
        argument = short
        if short >= 24:
            size = 1 << short - 24
            argument = int.from_bytes(body[at : at + size], "big")
            at += size
        if major == 6 and argument in tags:
            return True
        if major in (2, 3):
            at += argument
    return False
