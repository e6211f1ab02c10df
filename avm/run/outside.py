"""What the operator asks about other hosts: links, channels, peers, and where an address is. The shell.

Beside the journey. Plain values for the command line; nothing here is changed or decided.
"""

from collections.abc import Callable
from typing import Any

import trio

from avm.host.core import Core
from avm.run.channels import Channels
from avm.run.moves import Moves
from avm.run.network import Network
from avm.run.operator import Answer, NotDone
from avm.run.parts import bytes_in, number_in
from avm.run.peers import Peers
from avm.run.records import Records
from avm.store.interface import Store
from caps.certificate import Certificate
from caps.identity import Route
from dht.errors import DhtError
from dht.lookup import Step
from dht.proofs import Proved
from dht.record import LocationRecord

Start = Callable[..., None]
Note = Callable[..., None]
DRAIN_POLL_S = 0.02


class Outside:
    """Answers the operator's verbs about the network."""

    def __init__(
        self, core: Core, store: Store, network: Network, start: Start, note: Note
    ) -> None:
        """`start` has a coroutine run beside the rest, `note` writes a line of the host's log."""
        self._channels = Channels(core, note)
        self._core = core
        self._network = network
        self._start = start
        self._peers = Peers(core, network)
        self.moves = Moves(core, store, self._peers.address_of)
        self._records = Records(core, network, start)

    def act(
        self, verb: str, params: dict[str, Any], request: Callable[[], int], answer: Answer
    ) -> Any:
        """Answers at once, or, with None, later: by `answer`, or as the core answers `request`."""
        match verb:
            case "links":
                return self._network.links()
            case "peers":
                return self._peers.act(params, request)
            case "channels":
                return self._channels.act(params, request)
            case "move":
                self.moves.act(params, request)
                return None
            case "dht":
                return self._records.dht(params)
            case "publish":
                return self._records.publish(params, answer)
            case "drain":
                self._core.drain()
                self._start(self._drained, number_in(params["timeout_ms"]), answer)
                return None
            case "locate":
                self._start(self._locate, self._address_of(params["address"]), answer)
                return None
        raise NotDone(f"this host knows no verb {verb}", 2)

    def _address_of(self, given: object) -> bytes:
        """An address; in text the name of a machine here, or the start of an address that is known."""
        if not isinstance(given, str):
            return bytes_in(given)
        host = self._core.host
        machine = host.names.get(given)
        if machine is not None:
            return machine.address
        known = {*host.machines, *host.places, *host.roster.known, *host.moves.redirects}
        ends = {one for pair in host.channels for one in pair}
        found = [one for one in known | ends | {host.address} if one.hex().startswith(given)]
        if not given or not found:
            raise NotDone(f"no known address starts with {given}: locate needs all its 64 digits")
        if len(found) > 1:
            raise NotDone(f"several addresses start with {given}: type more of it")
        return found[0]

    async def _drained(self, timeout_ms: int, answer: Answer) -> None:
        """Waits until nothing is under way and owed to other hosts, no machine either."""
        leaving = self._core.host.moves.leaving
        with trio.move_on_after(timeout_ms / 1000):
            while self._core.is_busy() or self._core.owes() or leaving:
                await trio.sleep(DRAIN_POLL_S)
                self._core.pump()
        answer({"owes": self._core.owes(), "moving": len(leaving)}, "")

    async def _locate(self, address: bytes, answer: Answer) -> None:
        try:
            ended = await self._network.shell.locate(address)
        except DhtError as error:
            answer(None, str(error))
            return
        answer(
            {
                "address": address.hex(),
                "records": [_record(one) for one in ended.records],
                "requests": ended.requests,
                "hops": ended.hops,
                "took_ms": ended.took_ms,
                "escalated": ended.escalated,
                "cached": ended.cached,
                "steps": [_step(step) for step in ended.trace],
            },
            "",
        )


def _step(step: Step) -> dict[str, Any]:
    took = None if step.answered_ms is None else step.answered_ms - step.asked_ms
    return {
        "endpoint": str(step.contact.endpoint),
        "path": step.path,
        "hop": step.hop,
        "took_ms": took,
        "outcome": step.outcome,
        "records": len(step.records),
        "note": step.note,
    }


def _record(record: Proved) -> dict[str, Any]:
    """A location as the network proves it; only what was checked comes so far."""
    content = record.content
    if not isinstance(content, LocationRecord):
        return {"kind": record.kind.name.lower()}
    location = content.location
    row: dict[str, Any] = {
        "kind": "location",
        "incarnation": location.incarnation,
        "sequence": location.sequence,
        "expiry_ms": location.expiry_ms,
        "signed": True,
        "host": location.host.hex(),
    }
    if not isinstance(location.where, Certificate):
        row["endpoints"] = [str(one) for one in location.where if not isinstance(one, Route)]
        row["introducers"] = [str(one) for one in location.where if isinstance(one, Route)]
    return row
