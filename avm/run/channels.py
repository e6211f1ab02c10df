"""The operator's `channels`: how far each is taken, why one is frozen, and decisions on it. The shell.

Beside the journey. Names channels and lists them; what a decision does is decided in the core.
"""

from collections.abc import Callable
from typing import Any

from avm.host import deciding
from avm.host.cases import Claim, Contradiction, Decision
from avm.host.core import Core
from avm.host.delays import delay_of, owed_by_channel
from avm.host.peers import Pair
from avm.host.state import Channel, Machine
from avm.run.operator import NotDone
from avm.run.parts import bytes_in, text_in

ACTS = {"restart": deciding.restart_channel, "accept": deciding.accept_channel}


class Channels:
    """Lists the channels to and from other hosts, and has them go on as the operator decides."""

    def __init__(self, core: Core, note: Callable[..., None]) -> None:
        self._core = core
        self._note = note

    def act(self, params: dict[str, Any], request: Callable[[], int]) -> Any:
        """A list, or None: the core answers the request."""
        match params.get("act", "ls"):
            case "ls":
                return self._list()
            case "cases":
                return self._cases()
            case "why":
                delay = delay_of(
                    self._core.host, (bytes_in(params["sender"]), bytes_in(params["receiver"]))
                )
                return {"why": delay.why, "stuck": delay.is_stuck}
            case "restart" | "accept" as act:
                ends = text_in(params["sender"]), text_in(params["receiver"])
                self._decide(act, *ends, request)
                return None
            case act:
                raise NotDone(f"this host knows no `channels {act}`", 2)

    def _list(self) -> list[dict[str, Any]]:
        host = self._core.host
        pairs = [*host.outgoing, *(pair for pair in host.arriving if pair not in host.outgoing)]
        frozen = [pair for pair, channel in host.channels.items() if channel.frozen]
        decided = [(one.sender, one.receiver) for one in host.cases.decisions]
        owed = owed_by_channel(host)
        return [self._row(pair, owed[pair]) for pair in dict.fromkeys([*pairs, *frozen, *decided])]

    def _row(self, pair: Pair, owed: int) -> dict[str, Any]:
        host = self._core.host
        channel = host.channels.get(pair) or Channel(*pair)
        outgoing, incoming = host.outgoing.get(pair), host.arriving.get(pair)
        is_out = outgoing is not None or host.owner(channel.sender) is not None
        number = outgoing.link if outgoing is not None else incoming.link if incoming else 0
        link = host.links.get(number)
        last = channel.sent if is_out else channel.received
        delay = delay_of(host, pair)
        own = host.owner(channel.sender if is_out else channel.receiver)
        cases = host.cases
        claims = [*cases.of_address(pair[0]), *cases.of_address(pair[1])]
        return {
            "sender": channel.sender.hex(),
            "receiver": channel.receiver.hex(),
            "way": "out" if is_out else "in",
            "machine": own.name if isinstance(own, Machine) else None,
            "host": link.peer.hex() if link is not None else None,
            "at": link.peer.hex() if link is not None else delay.host.hex() or None,
            "sent" if is_out else "received": last,
            "taken": channel.taken,
            "waiting": owed if is_out else last - channel.taken,
            "room": max(0, outgoing.room - channel.taken) if outgoing is not None else None,
            "why": delay.why or None,
            "stuck": delay.is_stuck,
            "frozen": channel.frozen or None,
            "evidence": channel.evidence.hex() or None,
            "acts": self._acts(channel),
            "decisions": [_decision(one) for one in cases.of_channel(*pair)],
            "contradicted": [_contradiction(one) for one in claims],
        }

    def _acts(self, channel: Channel) -> list[str]:
        """What the operator may decide on a channel that is frozen."""
        if not channel.frozen:
            return []
        accept = [] if deciding.why_not_accept(self._core.host, channel) else ["accept"]
        return [*accept, "restart"]

    def _cases(self) -> list[dict[str, Any]]:
        cases = self._core.host.cases
        rows = [
            *(_decision(one) for one in cases.decisions),
            *(_contradiction(one) for one in cases.contradictions),
        ]
        return sorted(rows, key=lambda row: int(row["at_ms"]))

    def _start_of(self, text: str) -> str:
        """The address of a machine here by its name, or what an address begins with."""
        machine = self._core.host.names.get(text)
        return text if machine is None else machine.address.hex()

    def _decide(self, act: str, sender: str, receiver: str, request: Callable[[], int]) -> None:
        starts = self._start_of(sender), self._start_of(receiver)
        found = [
            pair
            for pair, channel in self._core.host.channels.items()
            if (channel.frozen or channel.digest)
            and pair[0].hex().startswith(starts[0])
            and pair[1].hex().startswith(starts[1])
        ]
        if len(found) != 1:
            what = "several channels" if found else "no channel"
            have = "have" if found else "has"
            ends = f"{what} to other hosts {have} ends that begin with {sender} and {receiver}"
            raise NotDone(f"{ends}: `avm-host channels --json` has the whole addresses")
        (pair,) = found
        self._note(f"channel.{act}", sender=pair[0].hex(), receiver=pair[1].hex())
        self._core.do(ACTS[act], request(), *pair)
        self._core.pump()


def _decision(one: Decision) -> dict[str, Any]:
    return {
        "at_ms": one.at_ms,
        "what": one.act,
        "sender": one.sender.hex(),
        "receiver": one.receiver.hex(),
        "was": one.was or None,
        "evidence": one.evidence.hex() or None,
    }


def _contradiction(one: Contradiction) -> dict[str, Any]:
    return {
        "at_ms": one.at_ms,
        "what": "contradicted",
        "address": one.address.hex(),
        "incarnation": one.incarnation,
        "claims": [_claim(one.first), _claim(one.second)],
    }


def _claim(claim: Claim) -> dict[str, Any]:
    return {"host": claim.host.hex(), "record": claim.record.hex()}
