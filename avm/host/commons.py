"""The common capabilities: what every host answers itself, and the origin where it does not. Pure.

Step 5 of the journey. `null~` takes everything, `time~`, `random~` and `inspect~` answer who asks. The
answer to a machine's own ask is an input batch on the channel host -> machine, in the commit of the
turn that asked, so it is taken once and replay gives it again. To a reply that was passed on it goes as
the machine's own send.
"""

import hashlib

import cbor2

from avm.host.batch import Said
from avm.host.capability import Cap, Local, Named, Reply, Sealed, address_of
from avm.host.outbox import NEVER_MS, answer_ask, failed, outcome, send
from avm.host.refer import COMMONS
from avm.host.returning import may_not_drop
from avm.host.state import Ask, Client, Host, Machine
from caps.capability import SealedCapability, parse_wire_untrusted
from caps.codec import encode_content, loads_plain_untrusted
from caps.errors import InvalidCapability, Malformed
from caps.identity import IDENTITY_BYTES_MAX, Identity, identity_at_untrusted
from caps.kinds import KINDS
from caps.map import freeze
from caps.slots import Common, Foreign

# Those that a host can be told not to answer itself.
SWITCHED = ("time~", "random~", "inspect~")
ENTROPY_BYTES = 32
RANDOM_BYTES, RANDOM_BYTES_MAX = 32, 1024
_NONE = encode_content(None)[0]
# The content that is one capability and nothing else.
_ONE = encode_content(Foreign(0))[0]
# How one begins that is {"cap": CAP, "identity": BYTES}: the bytes follow.
_WITH = encode_content(freeze({"cap": Foreign(0), "identity": b""}))[0][:-1]
# Of an identity that is not that of the capability's address, and of bytes that are none.
NOT_ITS = "that is not its identity"

Answer = tuple[bytes, tuple[Cap, ...]]


class Declined(Exception):
    """What was asked is not for this common capability; the text is the word of the refusal."""


def furnish(host: Host, entropy: bytes, off: str = "", origin: bytes = b"") -> None:
    """What a host answers commons with, told at each start: fresh random bytes, and the settings.

    `off` names the commons that it does not answer itself, parted by commas; `origin` is the wire form
    of the capability that such asks go to.
    """
    host.entropy, host.origin = entropy, origin
    host.off = tuple(name for name in off.split(",") if name)


def is_common(cap: Cap) -> bool:
    """Whether a capability is one of those that a host answers."""
    return type(cap) is Named and cap.name in COMMONS


def placed(host: Host, said: Said) -> Said:
    """An ask to a common that is off goes to the origin, where there is one, with its name before it."""
    if type(said.to) is not Named or said.to.name not in host.off or not host.origin:
        return said
    try:
        to = host.keys.open_untrusted(host.origin)
    except InvalidCapability:
        return said
    return said._replace(to=to, content=b"\x82" + cbor2.dumps(said.to.name) + said.content)


def answer_own(host: Host, machine: Machine, ask: Ask, said: Said) -> None:
    """Answers a machine's own ask, in the commit of the turn that asked."""
    assert type(said.to) is Named
    if said.to.name in host.off:
        outcome(host, machine, ask.number, "undelivered", _off(said.to.name), said)
        return
    try:
        body, caps = _answer(host, machine.address, said)
    except Declined as word:
        outcome(host, machine, ask.number, "refused", str(word), said)
        return
    answer_ask(host, machine, ask, body, caps)


def answer_passed(host: Host, asker: bytes, said: Said) -> Said:
    """What is sent to a reply that was passed on; a refusal arrives there as the asker's own."""
    assert type(said.to) is Named and said.reply is not None
    try:
        if said.to.name in host.off:
            raise Declined(_off(said.to.name))
        body, caps = _answer(host, asker, said)
    except Declined as word:
        kept = may_not_drop(said)
        body = failed("refused", str(word), said.content if kept else b"")
        caps = said.caps if kept else ()
    return Said(said.reply, body, caps, None)


def answer_client(host: Host, client: Client, said: Said) -> None:
    """Answers a client's ask, in the commit that takes its batch."""
    assert type(said.to) is Named
    if type(said.reply) is not Reply:
        return
    caps: tuple[Cap, ...] = ()
    try:
        if said.to.name in host.off:
            raise Declined(_off(said.to.name))
        body, caps = _answer(host, client.address, said)
    except Declined as word:
        body = failed("refused", str(word))
    send(host, host.address, client.address, [Said(said.reply, body, caps, None)], NEVER_MS)


def _off(name: str) -> str:
    return f"{name} is switched off at this host"


def _answer(host: Host, asker: bytes, said: Said) -> Answer:
    assert type(said.to) is Named
    match said.to.name:
        case "time~":
            if said.content != _NONE:
                raise Declined("time~ takes null")
            machine = host.machines.get(asker)
            now_ms = max(host.now_ms, machine.now_ms if machine is not None else 0)
            return encode_content(now_ms / 1000)[0], ()
        case "random~":
            return encode_content(draw(host, _how_many(said.content)))[0], ()
        case "inspect~":
            if len(said.caps) == 1 and said.content == _ONE:
                return _inspected(asker, said.caps[0], _identity_here(host, said.caps[0]))
            if len(said.caps) == 1 and said.content.startswith(_WITH):
                return _inspected(asker, said.caps[0], _identity_shown_untrusted(said))
            raise Declined("inspect~ takes a capability, or {cap, identity}")
    return _NONE, ()


def _identity_here(host: Host, cap: Cap) -> Identity | None:
    """The identity of a machine of this host; it came with the machine, perhaps from another host."""
    machine = host.machines.get(address_of(cap))
    if machine is None:
        return None
    try:
        return identity_at_untrusted(machine.address, machine.identity)
    except Malformed:
        return None


def _identity_shown_untrusted(said: Said) -> Identity:
    """The identity that stands beside a capability, which must be that of its address."""
    try:
        shown = loads_plain_untrusted(
            said.content[len(_WITH) :], max_bytes=IDENTITY_BYTES_MAX + 3, depth=1
        )
        if type(shown) is bytes:
            return identity_at_untrusted(address_of(said.caps[0]), shown)
    except Malformed:
        pass
    raise Declined(NOT_ITS)


def _how_many(content: bytes) -> int:
    if content == _NONE:
        return RANDOM_BYTES
    try:
        count = loads_plain_untrusted(content, max_bytes=9, depth=1)
    except Malformed:
        count = None
    if type(count) is not int or not 1 <= count <= RANDOM_BYTES_MAX:
        raise Declined(f"random~ takes null or how many bytes: 1 to {RANDOM_BYTES_MAX}")
    return count


def draw(host: Host, count: int) -> bytes:
    """Random bytes; what they were drawn from is gone with them, so none can be drawn again."""
    if not host.entropy:
        raise Declined("this host has no entropy")
    found = b""
    while len(found) < count:
        place = len(found).to_bytes(4, "big")
        found += hashlib.blake2b(place, key=host.entropy, person=b"avm random~").digest()
    seed = hashlib.blake2b(key=host.entropy, digest_size=ENTROPY_BYTES, person=b"avm entropy")
    host.entropy = seed.digest()
    return found[:count]


def _inspected(asker: bytes, cap: Cap, identity: Identity | None) -> Answer:
    """What anybody can see of a capability, and the capability itself, which may be linear.

    `identity` is that of its address, where it is known.
    """
    kind, priority, expires_ms = _attributes(cap)
    common = cap.name if type(cap) is Named else None
    told = {
        "address": None if common else address_of(cap).hex(),
        "kind": KINDS[kind],
        "priority": priority / 1000,
        "expires": None if expires_ms is None else expires_ms / 1000,
        "own": address_of(cap) == asker,
        "common": common,
        "about": identity and identity.metadata,
        "identity": identity and identity.to_bytes(),
        "capability": Common(common) if common else Foreign(0, KINDS[kind]),
    }
    return encode_content(freeze(told))[0], (cap,)


def _attributes(cap: Cap) -> tuple[int, int, int | None]:
    match cap:
        case Local():
            return cap.kind, cap.priority, cap.expires_ms
        case Reply():
            return KINDS.index("affine"), 0, cap.deadline_ms
        case Sealed():
            parsed = parse_wire_untrusted(cap.wire)
            assert isinstance(parsed, SealedCapability)
            return parsed.kind, parsed.priority, parsed.expires_ms
        case Named():
            return 0, 0, None
