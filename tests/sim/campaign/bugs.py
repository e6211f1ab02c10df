"""The seeded bugs: the campaign is shown to catch each of them, so that it is known to look.

`python -m tests.sim.campaign --bug NAME` runs with one. Many are those that the tests of one thing
alone catch as well (`tests.mutants`); here nothing but whole worlds may find them.
"""

from typing import NamedTuple

from tests.mutants.faults import FAULTS


class Bug(NamedTuple):
    """In `file` the text `old` becomes `new`; the run of `seed` breaks by it, and says so."""

    name: str
    file: str
    old: str
    new: str
    seed: int
    caught_as: str
    messages: int = 300

    @property
    def module(self) -> str:
        """The module that has it."""
        return self.file.removesuffix(".py").replace("/", ".")


# Of the faults of other tests: the seed that breaks, and what is said of it.
KNOWN = {
    "acknowledge before commit": (1, "is acknowledged, and not applied"),
    "output before commit": (1, "is delivered before it is durable"),
    "a batch is offered to another host before it is committed": (1, "leaves before it is durable"),
    "mark and state in two transactions": (3, "is taken twice"),
    "a journal entry does not name the one before": (1, "the chain of"),
    "what a machine does not take has no entry": (7, "is taken, marked"),
    "expiry before deduplication": (3, "something is still owed"),
    "client resend without mark": (4, "more than one outcome"),
    "what is in flight is put back in the wrong order": (3, "in the order of the channel"),
    "a failed batch keeps what its first messages did": (1, "are lost"),
    "undelivered is told of what was offered": (1, "a token is in two places"),
    "the host's word is failed by a machine that fails what comes": (7, "has an open ask"),
    "a second reply is taken": (1, "is in memory alone"),
    "a row that is stored is dropped from the commit instead of deleted": (3, "in the store alone"),
    "an answered ask stays in the store": (1, "is in the store alone"),
    "slot numbers reused": (1, "is used again"),
    "failed and read-only turns intern": (13, "is not as it lived"),
    "unfair queue": (2, "of another go ahead"),
    "a timer fires twice": (4, "rings twice"),
    "what is held over a restart is forgotten in the chain": (18, "something is still owed"),
    "marks stay behind when a machine moves": (4, "is taken, marked 0"),
    "an old host takes what is sent to a machine that left": (13, "is taken, marked"),
    "capabilities to a machine that left stay unsealed": (7, "was greeted by 3 others"),
    "a machine is said to have left before its end is committed": (4, "said to have left before"),
    "a machine is said to have landed before it is committed": (4, "said to have landed before"),
}

OWN = [
    Bug(
        "a number is used again after a restart",
        "avm/host/outbox.py",
        "    channel.sent_ordinal += len(messages)\n    host.touch(channel)\n    route(host, batch)\n",
        "    channel.sent_ordinal += len(messages)\n    route(host, batch)\n",
        1,
        "is in memory alone",
    ),
    Bug(
        "a verdict gives no room back",
        "avm/host/verdicts.py",
        "        outgoing.room = max(outgoing.room, frame.room)\n        wake(host, outgoing)\n",
        "        wake(host, outgoing)\n",
        1,
        "something is still owed",
    ),
    Bug(
        "what is settled still counts in the outbox",
        "avm/host/outbox.py",
        "            sender.outbox_bytes -= batch.size\n",
        "            sender.outbox_bytes -= 0\n",
        1,
        "something is still owed",
    ),
    Bug(
        "a stale record is accepted",
        "dht/newest.py",
        "    if record.order <= newest.order:\n",
        "    if record.order == newest.order:\n",
        103,
        "goes back from",
    ),
    Bug(
        "a timer is forgotten at a start",
        "avm/host/rows.py",
        '        host.deadlines.put(("timer", number, key), timer.due_ms)\n',
        "        pass\n",
        3,
        "bells",
    ),
    Bug(
        "an ask's deadline is forgotten at a start",
        "avm/host/rows.py",
        '            host.deadlines.put(("ask", number, ask_number), ask.deadline_ms)\n',
        "            pass\n",
        4,
        "has an open ask",
    ),
    Bug(
        "a mark stands for applied",
        "avm/host/verdicts.py",
        '        if not end_batch(host, outgoing, seq, known.get(seq, ["applied"])):\n',
        '        if not end_batch(host, outgoing, seq, ["applied"]):\n',
        17,
        "is acknowledged, and not applied",
    ),
    Bug(
        "another host is told a verdict before it is committed",
        "avm/host/links.py",
        "    say_after(host, link, Told(channel.sender",
        "    say(host, link, Told(channel.sender",
        7,
        "is acknowledged, and not applied",
    ),
    Bug(
        "a client's ask stays open beside the verdict",
        "avm/host/outbox.py",
        "        close_asks(host, client, batch)\n",
        "",
        7,
        "more than one outcome",
    ),
]

_KNOWN = [
    Bug(one.name, one.file, one.old, one.new, *KNOWN[one.name])
    for one in FAULTS
    if one.name in KNOWN
]
BUGS = {bug.name: bug for bug in (*_KNOWN, *OWN)}
assert len(BUGS) == len(KNOWN) + len(OWN), "each is there once"
