"""Narrowing in a step: a capability that the machine holds, made good for less, without asking anybody.

Between steps 4 and 5 of the journey. What a step has is a handle, so what it makes here is one too: the
capability it had, and the caveats. The host narrows the real one where the handle leaves the worker.
"""

from math import isfinite

from caps import caveats
from caps.caveats import CAVEATS_MAX, HOLDER_BYTES, NONCE_BYTES_MAX, USES_MAX, Caveat
from caps.errors import NotAValue, TooBig
from caps.slots import EXPIRES_S_MAX, Foreign, Narrowed, Own
from caps.value import Capability


def narrow(
    capability: Capability,
    *,
    until: float | None = None,
    uses: int | None = None,
    only: object = ...,
    holder: str | None = None,
    nonce: str = "",
) -> Capability:
    """Return the capability with caveats more, good only where every one of them is kept.

    `until` is in seconds since 1970 UTC; `uses` so many messages applied, with an `until`; `only` a
    pattern of contents, as in `caps.pattern`; `holder` the address of the one who may send, 64 hexadecimal
    digits. Two that are narrowed alike share their count of uses: a `nonce` keeps them apart. Raises
    ValueError for these, and TypeError for what is not to be narrowed.
    """
    if type(capability) is Narrowed:
        inner, before = capability._inner, capability._caveats
    elif isinstance(capability, Foreign | Own):
        inner, before = capability, ()
    else:
        raise TypeError("narrow takes a capability that was received or sealed, and no common one")
    try:
        more = _caveats(until, uses, only, holder, nonce)
    except NotAValue as error:
        raise ValueError(str(error)) from None
    if len(before) + len(more) > CAVEATS_MAX:
        raise ValueError(f"a capability has at most {CAVEATS_MAX} caveats")
    if not more:
        raise ValueError("narrow by something: until, uses, only or holder")
    return Narrowed(inner, (*before, *(caveat.encoded for caveat in more)))


def _caveats(
    until: float | None, uses: int | None, only: object, holder: str | None, nonce: str
) -> list[Caveat]:
    found: list[Caveat] = []
    expires_ms = None if until is None else _milliseconds(until)
    if uses is not None:
        if expires_ms is None:
            raise ValueError("uses need an until: the count is kept so long")
        if type(uses) is not int or not 1 <= uses <= USES_MAX:
            raise ValueError("uses is a whole number of messages, at least 1")
        if type(nonce) is not str or len(nonce.encode()) > NONCE_BYTES_MAX:
            raise ValueError(f"a nonce is a text of at most {NONCE_BYTES_MAX} bytes")
        found.append(caveats.uses(uses, nonce.encode(), expires_ms))
    elif expires_ms is not None:
        found.append(caveats.until(expires_ms))
    if only is not ...:
        found.append(_only(only))
    if holder is not None:
        found.append(caveats.holder(_address(holder)))
    return found


def _only(pattern: object) -> Caveat:
    try:
        return caveats.only(pattern)
    except TooBig:
        raise
    except NotAValue as error:
        like = '["int", 0, 10] or ["map", ["n", ["int"]]]'
        raise ValueError(f"only is a pattern like {like}: {error.why}") from None


def _milliseconds(seconds: float) -> int:
    if (
        type(seconds) not in (int, float)
        or not isfinite(seconds)
        or not 0 <= seconds <= EXPIRES_S_MAX
    ):
        raise ValueError("until is in seconds since 1970")
    return round(seconds * 1000)


def _address(text: str) -> bytes:
    try:
        address = bytes.fromhex(text)
    except (TypeError, ValueError):
        address = b""
    if len(address) != HOLDER_BYTES or address.hex() != text:
        raise ValueError("holder is an address: 64 lower-case hexadecimal digits")
    return address


__all__ = ["narrow"]
