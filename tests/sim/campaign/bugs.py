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
    messages: int
    caught_as: str

    @property
    def module(self) -> str:
        """The module that has it."""
        return self.file.removesuffix(".py").replace("/", ".")


# Of the faults of other tests: the seed that breaks, of how many messages, and what is said of it.
KNOWN = {
    "acknowledge before commit": (1, 100, "is acknowledged, and not applied"),
    "output before commit": (1, 100, "is delivered before it is durable"),
    "a batch is offered to another host before it is committed": (
        1,
        100,
        "leaves before it is durable",
    ),
    "mark and state in two transactions": (10, 100, "is taken twice"),
    "a journal entry does not name the one before": (1, 100, "breaks at"),
    "what a machine does not take has no entry": (3, 100, "is taken, marked"),
    "expiry before deduplication": (5, 100, "something is still owed"),
    "client resend without mark": (5, 100, "taken twice"),
    "what is in flight is put back in the wrong order": (3, 300, "in the order of the channel"),
    "a failed batch keeps what its first messages did": (1, 100, "are lost"),
    "undelivered is told of what was offered": (6, 300, "is here already"),
    "a second reply is taken": (1, 100, "is in memory alone"),
    "a row that is stored is dropped from the commit instead of deleted": (
        9,
        100,
        "would not be the same",
    ),
    "an answered ask stays in the store": (1, 100, "is in the store alone"),
    "slot numbers reused": (1, 100, "is used again"),
    "failed and read-only turns intern": (18, 100, "is not as it lived"),
    "unfair queue": (1, 100, "of another go ahead"),
    "a timer fires twice": (7, 300, "rings twice"),
    "marks stay behind when a machine moves": (13, 100, "is taken, marked 0"),
    "an old host takes what is sent to a machine that left": (30, 100, "is taken, marked 3"),
    "a machine is said to have left before its end is committed": (
        13,
        100,
        "said to have left before",
    ),
    "a machine is said to have landed before it is committed": (
        13,
        100,
        "said to have landed before",
    ),
}

OWN = [
    Bug(
        "a collected capability is known by its slot",
        "avm/host/refer.py",
        "            machine.slot_of.pop(cap, None)\n",
        "            machine.slot_of.get(cap, None)\n",
        1,
        300,
        "and it was collected",
    ),
    Bug(
        "a number is used again after a restart",
        "avm/host/outbox.py",
        "    channel.sent_ordinal += len(messages)\n    host.touch(channel)\n    route(host, batch)\n",
        "    channel.sent_ordinal += len(messages)\n    route(host, batch)\n",
        1,
        300,
        "is in memory alone",
    ),
    Bug(
        "a verdict gives no room back",
        "avm/host/verdicts.py",
        "        outgoing.room = max(outgoing.room, frame.room)\n        wake(host, outgoing)\n",
        "        wake(host, outgoing)\n",
        2,
        100,
        "something is still owed",
    ),
    Bug(
        "what is settled still counts in the outbox",
        "avm/host/outbox.py",
        "    sender.outbox_bytes -= size\n",
        "    sender.outbox_bytes -= 0\n",
        17,
        100,
        "bytes in its outbox, where 0 wait",
    ),
    Bug(
        "a stale record is accepted",
        "dht/newest.py",
        "    if not record.newer_than(newest):\n",
        "    if record.order == newest.order:\n",
        35,
        300,
        "goes back from",
    ),
    Bug(
        "a timer is forgotten at a start",
        "avm/host/rows.py",
        '        host.deadlines.put(("timer", number, key), timer.due_ms)\n',
        "        pass\n",
        7,
        100,
        "bells",
    ),
    Bug(
        "an ask's deadline is forgotten at a start",
        "avm/host/rows.py",
        '            host.deadlines.put(("ask", number, ask_number), ask.deadline_ms)\n',
        "            pass\n",
        3,
        100,
        "has an open ask",
    ),
    Bug(
        "a mark stands for applied",
        "avm/host/verdicts.py",
        '        if not end_batch(host, outgoing, seq, known.get(seq, ["applied"])):\n',
        '        if not end_batch(host, outgoing, seq, ["applied"]):\n',
        7,
        300,
        "is acknowledged, and not applied",
    ),
    Bug(
        "another host is told a verdict before it is committed",
        "avm/host/links.py",
        "    say_after(host, link, Told(channel.sender",
        "    say(host, link, Told(channel.sender",
        1,
        100,
        "said to be applied, and is not",
    ),
    Bug(
        "a client's ask stays open beside the verdict",
        "avm/host/outbox.py",
        "        close_asks(host, client, batch)\n",
        "",
        7,
        300,
        "more than one outcome",
    ),
    Bug(
        "a mark is told before it is committed",
        "avm/host/arrivals.py",
        "    say_after(host, link, Mark(",
        "    say(host, link, Mark(",
        7,
        300,
        "said to be taken, and is not yet",
    ),
    Bug(
        "verdicts are forgotten before they are confirmed",
        "avm/host/arrivals.py",
        "if seq <= frame.confirmed]",
        "if seq <= header.seq]",
        2,
        100,
        "is said to be applied, and is not",
    ),
    Bug(
        "message ids are used again",
        "avm/host/outbox.py",
        "    channel.sent_ordinal += len(messages)\n",
        "",
        1,
        100,
        "has message ids again",
    ),
    Bug(
        "what is voided at once does not count as received",
        "avm/host/outbox.py",
        "    if channel.received <= channel.taken:  # also what never waited: see `void`\n"
        "        channel.received, channel.received_ordinal = channel.taken, channel.taken_ordinal\n",
        "",
        1,
        100,
        "would not be the same: received",
    ),
    Bug(
        "a machine's time is that of a clock that goes back",
        "avm/host/dispatch.py",
        "    flight.now_ms = max(host.now_ms, machine.now_ms, before)\n",
        "    flight.now_ms = host.clock_ms\n",
        2,
        300,
        "goes back at",
    ),
    Bug(
        "room at the other host is ignored",
        "avm/host/away.py",
        "    return outgoing.next <= min(outgoing.durable, outgoing.room)\n",
        "    return outgoing.next <= outgoing.durable\n",
        1,
        200,
        "where there is room up to",
    ),
    Bug(
        "a receiver that was busy is offered more though it told of room",
        "avm/host/verdicts.py",
        "    if outgoing is not None and outgoing.marked and not outgoing.room:\n",
        "    if outgoing is not None and outgoing.marked:\n",
        112,
        200,
        "where there is room up to",
    ),
    Bug(
        "a journal is cut past its snapshot",
        "avm/host/core.py",
        "        first = min(keep_from, machine.snapshot_at)\n",
        "        first = keep_from\n",
        3,
        200,
        "is cut past its snapshot",
    ),
    Bug(
        "a verdict is confirmed before it is durable",
        "avm/host/verdicts.py",
        "    host.group.heard.append((outgoing, seq))\n",
        "    outgoing.confirmed = seq\n",
        1,
        300,
        "which is not durable",
    ),
    Bug(
        "a relay sends back what comes",
        "avm/nat/relay.py",
        "        other = session.ends[1 - side]\n",
        "        other = session.ends[side]\n",
        112,
        200,
        "for another",
    ),
]

_KNOWN = [
    Bug(one.name, one.file, one.old, one.new, *KNOWN[one.name])
    for one in FAULTS
    if one.name in KNOWN
]
BUGS = {bug.name: bug for bug in (*_KNOWN, *OWN)}
assert len(BUGS) == len(KNOWN) + len(OWN), "each is there once"
