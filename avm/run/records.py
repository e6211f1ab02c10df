"""The operator's `dht` and `publish`: the host's node, what it holds, and what it announces. The shell.

Beside the journey. Rows for the command line; what is put when is decided by the node.
"""

from collections.abc import Callable
from typing import Any

import trio

from avm.host.core import Core
from avm.run.network import Network
from avm.run.operator import Answer, NotDone
from avm.run.parts import number_in, text_in
from dht.portrait import Announced, Portrait, Seat
from dht.proofs import Kind, Proved
from dht.shelf import Held

HOST = "host"
Place = tuple[Kind, bytes]


class Records:
    """Shows the records of this host's node, and has its own put at once."""

    def __init__(self, core: Core, network: Network, start: Callable[..., None]) -> None:
        """`start` has a coroutine run beside the rest."""
        self._core = core
        self._network = network
        self._start = start

    def dht(self, params: dict[str, Any]) -> Any:
        """The contacts, the records held for others, or counters."""
        now_ms = self._network.shell.now_ms()
        match params.get("part", "stats"):
            case "table":
                return [_seat(one, now_ms) for one in self._portrait().seats]
            case "records":
                return [_held(one) for one in self._portrait().held]
            case "stats":
                return self._stats()
            case part:
                raise NotDone(f"this host knows no `dht {part}`", 2)

    def publish(self, params: dict[str, Any], answer: Answer) -> Any:
        """What is announced, of one address or of all; with `now` it is put, and answered later."""
        rows = self._rows(text_in(params.get("which", "")))
        if not params.get("now"):
            return [self._announced(one) for one in rows]
        places = {(one.own.record.kind, one.own.record.key) for one in rows}
        self._start(self._put, places, number_in(params["timeout_ms"]), answer)
        return None

    async def _put(self, places: set[Place], timeout_ms: int, answer: Answer) -> None:
        """Puts records, and waits until their holders have answered."""
        shell = self._network.shell
        begun_ms = shell.now_ms()
        shell.announce(places)
        with trio.move_on_after(timeout_ms / 1000):
            while waiting := self._waiting(places, begun_ms):
                await shell.wait_published(waiting)
        rows = [
            self._announced(one) | {"answered": not _is_before(one, begun_ms)}
            for one in self._named(places)
        ]
        answer(rows, "")

    def _portrait(self) -> Portrait:
        shell = self._network.shell
        return shell.node.portrait(shell.now_ms())

    def _named(self, places: set[Place]) -> list[Announced]:
        announced = self._portrait().announced
        return [one for one in announced if (one.own.record.kind, one.own.record.key) in places]

    def _waiting(self, places: set[Place], begun_ms: int) -> list[Place]:
        named = [one for one in self._named(places) if _is_before(one, begun_ms)]
        return [(one.own.record.kind, one.own.record.key) for one in named]

    def _rows(self, which: str) -> list[Announced]:
        """All that is announced, or what is of one name or start of an address."""
        announced = list(self._portrait().announced)
        if not which:
            return sorted(announced, key=lambda one: (self._name(one) != HOST, self._name(one)))
        machine = self._core.host.names.get(which)
        start = which if machine is None else machine.address.hex()
        found = [one for one in announced if one.own.record.key.hex().startswith(start)]
        if machine is None and len({one.own.record.key for one in found}) > 1:
            raise NotDone(f"several announced addresses start with {which}: type more of it")
        if not found:
            raise NotDone(f"this host announces no {which}: `avm-host publish` lists what it does")
        return found

    def _name(self, one: Announced) -> str:
        """Whose address it is: the host's, a machine's, or a listener's."""
        host, address = self._core.host, one.own.record.key
        if address == host.address:
            return HOST
        machine, client = host.machines.get(address), host.clients.get(address)
        if machine is not None:
            return machine.name
        return f"listener {client.name}" if client is not None else ""

    def _announced(self, one: Announced) -> dict[str, Any]:
        own = one.own
        outcome = own.outcome
        return {
            "name": self._name(one),
            **_record(own.record),
            "put_ms": own.put_ms,
            "next_ms": one.next_ms,
            "kept": None if outcome is None else outcome.kept,
            "asked": None if outcome is None else outcome.asked,
        }

    def _stats(self) -> dict[str, Any]:
        node, portrait = self._network.shell.node, self._portrait()
        return {
            "id": node.id.hex(),
            "contacts": len(node.table),
            "requests": portrait.requests,
            "endpoints": [str(endpoint) for endpoint in node.endpoints],
            "published": len(portrait.announced),
            "lost": len(node.table.lost),
            "hosts": round(portrait.hosts),
            "held": len(portrait.held),
            "held_bytes": sum(len(one.record.body) for one in portrait.held),
            "counts": {**dict(sorted(node.counts.items())), "packets.malformed": node.malformed},
        }


def _is_before(one: Announced, begun_ms: int) -> bool:
    """Whether nothing is known yet of a put since that time."""
    put_ms, outcome = one.own.put_ms, one.own.outcome
    return put_ms is None or put_ms < begun_ms or outcome is None or outcome.at_ms < put_ms


def _seat(seat: Seat, now_ms: int) -> dict[str, Any]:
    heard = seat.heard
    return {
        "bucket": seat.bucket,
        "id": seat.contact.id.hex(),
        "endpoint": str(seat.contact.endpoint),
        "since_ms": None if heard is None else heard.since_ms,
        "heard_ms": None if heard is None else heard.last_ms,
        "age_s": None if heard is None else max(0, now_ms - heard.last_ms) / 1000,
        "round_trip_ms": None if heard is None else heard.round_trip_ms,
        "unanswered": seat.failures,
    }


def _held(held: Held) -> dict[str, Any]:
    return {**_record(held.record), "until_ms": held.until_ms}


def _record(record: Proved) -> dict[str, Any]:
    incarnation, sequence = record.order
    return {
        "kind": record.kind.name.lower(),
        "address": record.key.hex(),
        "by": record.speaker.hex() or None,
        "incarnation": incarnation,
        "sequence": sequence,
        "expiry_ms": record.expiry_ms,
        "bytes": len(record.body),
    }
