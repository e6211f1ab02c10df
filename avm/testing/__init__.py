"""The test kit: a step taken alone, or machines in a world of memory. Part of the public face.

Around step 4 of the journey for the first (`message`, `me`, `cap`, `answer_of`), around all of it
for the second (`World`): the same core as a real host's, without processes, files or sockets.
"""

from avm.testing.alone import answer_of, cap, cap_in, me, message, sends_to
from avm.testing.ground import NotCreated, NotHere
from avm.testing.network import Network
from avm.testing.world import Asked, Client, Heard, Machine, NoAnswer, NotApplied, World

__all__ = [
    "Asked",
    "Client",
    "Heard",
    "Machine",
    "Network",
    "NoAnswer",
    "NotApplied",
    "NotCreated",
    "NotHere",
    "World",
    "answer_of",
    "cap",
    "cap_in",
    "me",
    "message",
    "sends_to",
]
