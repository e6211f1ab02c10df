"""What two hosts say to each other about the channels between their machines. Pure.

Steps 7 and 8 of the journey. Frames of a link, each a CBOR array, the kind first:

    OPEN    sender, receiver, identity, certificate, base      begins a channel on this link
    MARK    sender, receiver, identity, certificate, taken, digest, room, [[seq, verdict], ..]
    OFFER   sender, receiver, header, size, part, confirmed, [[address, host], ..]
                                                               a batch; of size 0 where withdrawn
    PART    sender, receiver, seq, at, part                    the next instalment of its body
    VERDICT sender, receiver, seq, verdict, room
    AGAIN   sender, receiver, seq, why                         offer from this one on again
    GONE    sender, receiver                                   it does not live here
    END     sender, receiver                                   the sender is gone for good

`room` is the last number that may be offered; `base` is the last of which the receiver keeps nothing.
Beside a batch stands where the capabilities in it can be found, as far as the sender's host knows: it
may be wrong, and who is found there has to prove itself. From 16 on are frames of `avm.host.exchange`,
from 18 on those of `avm.host.passage`.
"""

from typing import NamedTuple

from avm.host import passage
from avm.host.exchange import PEERS, WANT, Peers, Want, read_untrusted
from avm.host.header import ADDRESS_BYTES, DIGEST_BYTES, HEADER_BYTES_MAX
from avm.host.passage import Passage
from avm.machine.pack import array, byte_string, uint
from caps import shape
from caps.certificate import CERTIFICATE_BYTES_MAX
from caps.codec import dumps_plain, loads_shape_untrusted
from caps.errors import Malformed
from caps.identity import IDENTITY_BYTES_MAX

PART_BYTES = 16 * 1024
# What a link takes as one frame; no frame below may be larger, whatever is in it.
FRAME_BYTES_MAX = 256 * 1024 - 1
VERDICTS_MAX = 128
# A word of 1 KiB is cut there and marked as cut.
WORD_BYTES_MAX = 1024 + 4
HINTS_MAX = 64
SEQ_MAX = 2**48
SIZE_MAX = 64 * 1024 * 1024
WHYS = ("expected", "busy", "closed")

_APPLIED = dumps_plain(["applied"])

OPEN, MARK, OFFER, PART, VERDICT, AGAIN, GONE, END = range(8)

Verdict = list[object]


class Open(NamedTuple):
    """The sender's host begins a channel, and proves that it speaks for the sender."""

    sender: bytes
    receiver: bytes
    identity: bytes
    certificate: bytes
    base: int


class Mark(NamedTuple):
    """The receiver's host proves itself likewise, and says how far the channel is taken."""

    sender: bytes
    receiver: bytes
    identity: bytes
    certificate: bytes
    taken: int
    digest: bytes
    room: int
    verdicts: list[tuple[int, Verdict]]


class Offer(NamedTuple):
    """A batch's header and the first part of its body, which has `size` bytes."""

    sender: bytes
    receiver: bytes
    header: bytes
    size: int
    part: bytes
    confirmed: int
    hints: list[tuple[bytes, bytes]]


class Part(NamedTuple):
    """Bytes of a body from `at` on."""

    sender: bytes
    receiver: bytes
    seq: int
    at: int
    part: bytes


class Told(NamedTuple):
    """What became of a batch."""

    sender: bytes
    receiver: bytes
    seq: int
    verdict: Verdict
    room: int


class Again(NamedTuple):
    """The receiver expects this number, now or, when it is busy, in a while.

    *Closed*: the channel is not open on this link (any more), and is to be opened again.
    """

    sender: bytes
    receiver: bytes
    seq: int
    why: str


class Gone(NamedTuple):
    """The receiver does not live at this host."""

    sender: bytes
    receiver: bytes


class End(NamedTuple):
    """The sender will not come again; all that it sent has its verdict."""

    sender: bytes
    receiver: bytes


Frame = Open | Mark | Offer | Part | Told | Again | Gone | End
AnyFrame = Frame | Want | Peers | Passage
KINDS: dict[type, int] = {
    Open: OPEN,
    Mark: MARK,
    Offer: OFFER,
    Part: PART,
    Told: VERDICT,
    Again: AGAIN,
    Gone: GONE,
    End: END,
    Want: WANT,
    Peers: PEERS,
    **passage.KINDS,
}


def pack_frame(frame: AnyFrame) -> bytes:
    """The bytes of a frame."""
    if type(frame) is Offer:
        return _pack_offer(frame)
    if type(frame) is Told:
        return _pack_told(frame)
    return dumps_plain([KINDS[type(frame)], *frame])


def _pack_offer(frame: Offer) -> bytes:
    sender, receiver, header, size, part, confirmed, hints = frame
    ends = (b"\x88", uint(OFFER), byte_string(sender), byte_string(receiver))
    batch = (byte_string(header), uint(size), byte_string(part), uint(confirmed))
    if not hints:
        return b"".join((*ends, *batch, b"\x80"))
    pairs = [b"\x82" + byte_string(address) + byte_string(host) for address, host in hints]
    return b"".join((*ends, *batch, array(len(pairs)), *pairs))


def _pack_told(frame: Told) -> bytes:
    sender, receiver, seq, verdict, room = frame
    ends = (b"\x86", uint(VERDICT), byte_string(sender), byte_string(receiver))
    word = _APPLIED if verdict == ["applied"] else dumps_plain(verdict)
    return b"".join((*ends, uint(seq), word, uint(room)))


def unpack_frame_untrusted(body: bytes) -> AnyFrame:
    """Reads a frame from another host; raises `Malformed` only."""
    plain = loads_shape_untrusted(body, max_bytes=FRAME_BYTES_MAX, depth=6)
    frame = _read(plain)
    if pack_frame(frame) != body:
        raise Malformed("frame: not the one encoding of what it says")
    return frame


def _read(plain: object) -> AnyFrame:
    if type(plain) is list and plain and type(plain[0]) is int and WANT <= plain[0]:
        if plain[0] <= PEERS:
            return read_untrusted(plain)
        if plain[0] <= passage.MOVED:
            return passage.read_untrusted(plain)
    if type(plain) is not list or len(plain) < 3:
        raise Malformed("malformed frame")
    kind, sender, receiver, *rest = plain
    shape.octets(sender, ADDRESS_BYTES, "frame: sender")
    shape.octets(receiver, ADDRESS_BYTES, "frame: receiver")
    shape.integer(kind, OPEN, END, "frame: kind")
    return _READ[kind](sender, receiver, rest)


def _open(sender: bytes, receiver: bytes, rest: list[object]) -> Frame:
    identity, certificate, base = shape.array(rest, 3, "open")
    return Open(sender, receiver, *_proof(identity, certificate), _seq(base, "open: base", 0))


def _mark(sender: bytes, receiver: bytes, rest: list[object]) -> Frame:
    identity, certificate, taken, digest, room, verdicts = shape.array(rest, 6, "mark")
    told: list[tuple[int, Verdict]] = []
    for row in shape.items(verdicts, VERDICTS_MAX, "mark: verdicts"):
        seq, verdict = shape.array(row, 2, "mark: verdict")
        told.append((_seq(seq, "mark: verdict"), verdict_untrusted(verdict)))
    return Mark(
        sender,
        receiver,
        *_proof(identity, certificate),
        _seq(taken, "mark: taken", 0),
        shape.octets(digest, DIGEST_BYTES, "mark: digest"),
        _seq(room, "mark: room", 0),
        told,
    )


def _offer(sender: bytes, receiver: bytes, rest: list[object]) -> Frame:
    header, size, part, confirmed, places = shape.array(rest, 5, "offer")
    octets = shape.some_octets(header, 1, HEADER_BYTES_MAX, "offer: header")
    whole = shape.integer(size, 0, SIZE_MAX, "offer: size")
    first = shape.some_octets(part, 0, PART_BYTES, "offer: part")
    if len(first) != min(whole, PART_BYTES):
        shape.refuse("offer: part")
    heard = _seq(confirmed, "offer: confirmed", 0)
    hints = [_hint(one) for one in shape.items(places, HINTS_MAX, "offer: hints")]
    return Offer(sender, receiver, octets, whole, first, heard, hints)


def _hint(value: object) -> tuple[bytes, bytes]:
    address, where = shape.array(value, 2, "offer: hint")
    return (
        shape.octets(address, ADDRESS_BYTES, "offer: hint"),
        shape.octets(where, ADDRESS_BYTES, "offer: hint"),
    )


def _part(sender: bytes, receiver: bytes, rest: list[object]) -> Frame:
    seq, at, part = shape.array(rest, 3, "part")
    place = shape.integer(at, 1, SIZE_MAX, "part: at")
    octets = shape.some_octets(part, 1, PART_BYTES, "part: bytes")
    return Part(sender, receiver, _seq(seq, "part: sequence"), place, octets)


def _told(sender: bytes, receiver: bytes, rest: list[object]) -> Frame:
    seq, verdict, room = shape.array(rest, 3, "verdict")
    number = _seq(seq, "verdict: sequence")
    return Told(
        sender, receiver, number, verdict_untrusted(verdict), _seq(room, "verdict: room", 0)
    )


def _again(sender: bytes, receiver: bytes, rest: list[object]) -> Frame:
    seq, why = shape.array(rest, 2, "again")
    if type(why) is not str or why not in WHYS:
        shape.refuse("again: why")
    return Again(sender, receiver, _seq(seq, "again: sequence"), why)


def _gone(sender: bytes, receiver: bytes, rest: list[object]) -> Frame:
    shape.array(rest, 0, "gone")
    return Gone(sender, receiver)


def _end(sender: bytes, receiver: bytes, rest: list[object]) -> Frame:
    shape.array(rest, 0, "end")
    return End(sender, receiver)


_READ = (_open, _mark, _offer, _part, _told, _again, _gone, _end)


def _seq(value: object, what: str, low: int = 1) -> int:
    return shape.integer(value, low, SEQ_MAX, what)


def _proof(identity: object, certificate: object) -> tuple[bytes, bytes]:
    return (
        shape.some_octets(identity, 1, IDENTITY_BYTES_MAX, "proof: identity"),
        shape.some_octets(certificate, 1, CERTIFICATE_BYTES_MAX, "proof: certificate"),
    )


def verdict_untrusted(value: object) -> Verdict:
    """One of applied, undelivered, [refused, index, word], [rejected, index (, stranger)]."""
    if type(value) is not list:
        shape.refuse("verdict")
    match value:
        case ["applied"] | ["undelivered"]:
            return value
        case ["refused", int(index), str(word)] if 0 <= index < 2**32 and type(index) is int:
            if len(word.encode()) <= WORD_BYTES_MAX:
                return value
        case ["rejected", int(index)] | ["rejected", int(index), "stranger"]:
            if 0 <= index < 2**32 and type(index) is int:
                return value
    shape.refuse("verdict")
