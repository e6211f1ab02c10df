"""What the stories have in common: how what somebody hears is put in words, and how they are told."""

from collections.abc import Callable, Iterator

from avm import Capability
from avm.testing import Client, NoAnswer, World


def hears(client: Client, to: Capability, said: object = None) -> str:
    """What a client hears who says something: the answer, or why there is none."""
    try:
        return str(client.call(to, said))
    except NoAnswer as no:
        return str(no)


def tell(story: Callable[[World], Iterator[str]]) -> None:
    """Prints a story as it happens, in a world of memory."""
    for line in story(World()):
        print(line)
