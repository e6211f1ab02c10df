"""The frames between the host and a worker: CBOR arrays, the first item says which.

Both ends are of one version, so the arrays are positional. To a worker:

    CODE      hash, bundle
    LOAD      machine, code hash, state body or None, references, next slot, generation
    AGAIN     machine, [[n, kind, input, output], ..], or [n, GENERATION, generation, None]
    LOADED    machine, token, why not                   -> machine, token, why not, printed
    TURN      machine, token, kind, input               -> machine, token, output, printed, names
    SNAPSHOT  machine, token                            -> machine, token, body, references, why not
    MIGRATE   machine, token, code hash                 -> the same, has a signal
    EDIT      machine, token, body, references          -> the same as MIGRATE
    FORGET    machine
    RENEW     machine, generation: the state's `Me` seals under it from here on
    ALONE     machine, token, kind, input               -> COME for each message after the first,
                                                           machine, token, index; then as TURN

An input is [now in ms, channel, ordinal, from the host, messages], a message [context, content]
or [context, content, reply, references, the context's references], with the patterns that the content
has to fit where there are some, or the place of the first message that has the same. An output is
[0, changed, sends by message up to the last that sends] or [verdict, index, why, traceback].
A machine that holds anything of a kind reports the references of slots of a kind behind the names:
[those in the state before the turn, those after it], those apart that stand where they stood.
"""

import hashlib
from typing import Any

import cbor2

CODE, LOAD, AGAIN, LOADED, TURN, SNAPSHOT, MIGRATE, EDIT, FORGET, ALONE, COME, RENEW = range(12)
MESSAGES, INIT, SIGNAL, GENERATION = range(4)


# The output of a turn that sends nothing, which most are: [0, changed, []].
CHANGED, UNCHANGED = b"\x83\x00\xf5\x80", b"\x83\x00\xf4\x80"


# How the answer to such a turn ends: its output, nothing printed and no names.
PLAIN = {output: b"\x44" + output + b"\x60\xf6" for output in (CHANGED, UNCHANGED)}
_ENDS = {end: output for output, end in PLAIN.items()}


class BadFrame(Exception):
    """The other end of a socket sent no frame."""


def pack(frame: list[Any]) -> bytes:
    """The bytes of a frame or of a part of it."""
    return cbor2.dumps(frame)


def pack_text(text: str) -> bytes:
    """The bytes of a text inside a frame."""
    return cbor2.dumps(text)


def unpack(body: bytes) -> list[Any]:
    """A frame from the host, or a part of one that the host has checked."""
    frame: list[Any] = cbor2.loads(body)
    return frame


def unpack_untrusted(body: bytes) -> list[Any]:
    """A frame from a worker or a client, which may be broken; contexts nest at most 64 deep."""
    try:
        frame = cbor2.loads(
            body,
            max_depth=150,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            tag_hook=_no_tag,
        )
    except (cbor2.CBORError, ValueError, RecursionError) as error:
        raise BadFrame(str(error)) from None
    if type(frame) is not list or not frame:
        raise BadFrame("not an array")
    return frame


def plain_answer(place: bytes, output: bytes) -> bytes:
    """The answer of the turn at `pack.place` that is as most are: its output is one of `PLAIN`."""
    return b"\x86\x04" + place + PLAIN[output]


def plain_output(frame: bytes, place: bytes) -> bytes | None:
    """The output in the answer of the turn at `pack.place`; None when it is not as most are."""
    output = _ENDS.get(frame[-7:])
    return output if output is not None and frame[:-7] == b"\x86\x04" + place else None


def unpack_output_untrusted(body: bytes) -> list[Any]:
    """The output of a turn; `BadFrame` when it has not the shape of one."""
    if body == CHANGED or body == UNCHANGED:
        return [0, body == CHANGED, []]
    output = unpack_untrusted(body)
    verdict = output[0]
    if verdict == 0 and type(verdict) is int:
        if len(output) != 3 or type(output[1]) is not bool or type(output[2]) is not list:
            raise BadFrame("not an output")
        for said in output[2]:
            if type(said) is not list or not all(map(_is_send, said)):
                raise BadFrame("not a list of sends")
    elif verdict not in (1, 2, 3, 4) or [type(one) for one in output] != [int, int, str, str]:
        raise BadFrame("not a verdict")
    return output


def _is_send(row: Any) -> bool:
    if type(row) is not list or len(row) not in (1, 2, 7):
        return False
    if len(row) == 1:
        return True
    if type(row[1]) is not bytes:
        return False
    return len(row) == 2 or (
        type(row[2]) is list
        and all(part is None or (type(part) is int and 0 <= part < 2**53) for part in row[4:6])
        and type(row[6]) is bool
    )


def unpack_names_untrusted(part: Any) -> tuple[bool, list[tuple[str, Any]]]:
    """What a creation answers beside its output: whether there is a signal, and names with references."""
    if type(part) is not list or not part or type(part[0]) is not bool:
        raise BadFrame("not names")
    for row in part[1:]:
        if type(row) is not list or len(row) != 2 or type(row[0]) is not str:
            raise BadFrame("not a name")
    return part[0], [(name, reference) for name, reference in part[1:]]


# What may stand after an answer's kind, machine and token.
SHAPES: dict[int, tuple[tuple[type, ...], ...]] = {
    TURN: (
        (bytes, str, type(None)),
        (bytes, str, list),
        (bytes, str, type(None), list),
        (bytes, str, list, list),
    ),
    LOADED: ((str, str),),
    SNAPSHOT: ((bytes, list, str),),
    MIGRATE: ((bytes, list, str, bool),),
    EDIT: ((bytes, list, str, bool),),
    COME: ((int,),),
}


def check_answer(frame: list[Any], kind: int) -> None:
    """Whether a worker's frame has the shape of an answer of this kind; else `BadFrame`."""
    if frame[0] != kind or tuple(map(type, frame[3:])) not in SHAPES[kind]:
        raise BadFrame("an answer of another kind or shape")


def held_in(frame: list[Any]) -> list[list[int]] | None:
    """The references of slots of a kind that the answer to a turn reports; `BadFrame` if none are."""
    if len(frame) < 7:
        return None
    lists: list[list[int]] = frame[6]
    if len(lists) != 2 or not all(type(one) is list for one in lists):
        raise BadFrame("not a report of slots")
    if not all(type(place) is int for one in lists for place in one):
        raise BadFrame("not a report of slots")
    return lists


def channel_name(sender: bytes, receiver: bytes) -> str:
    """The name of a channel, as it stands in message ids."""
    return hashlib.blake2b(sender + receiver, digest_size=8, person=b"avm channel").hexdigest()


def _no_tag(_tag: Any, _immutable: bool = False) -> Any:
    raise BadFrame("a tag")
