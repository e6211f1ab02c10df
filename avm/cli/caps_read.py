"""What the acts of `caps` that read have in common: the graph, the parties and capabilities meant, chains."""

import argparse
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import time
from typing import Any

from avm.authority.holding import OPERATOR, WHO_IS_GONE, Holding, How, What, target_of
from avm.authority.reach import Chain, Cut, of_any_generation, one_capability
from avm.authority.tables import IsOwn, nobodys
from avm.cli.errors import CliError
from avm.cli.output import counted
from avm.cli.show import host_of, keys_of
from avm.cli.times import utc
from avm.host.capability import Cap, Named
from avm.near import did_you_mean
from avm.past.authority import Authority
from avm.past.reading import NoSuchMachine, Reader
from avm.run.directory import Directory
from avm.run.errors import KeysRefused
from caps.capability import CommonName, parse_text
from caps.errors import InvalidCapability

NAMED = re.compile(r"([a-z0-9][a-z0-9-]*)\.(.+)")


@contextmanager
def authority(
    args: argparse.Namespace, directory: Directory, journals: bool = True
) -> Iterator[Authority]:
    """The graph of the store, open to read within the block."""
    with Reader.open(directory) as reader, reader.reading():
        now_ms = round(time() * 1000)
        yield Authority.read(reader, host_of(directory), now_ms, journals, _is_own(directory))


def _is_own(directory: Directory) -> IsOwn:
    """Tells what this host has sealed: not of a fork, nor where its keys are under a passphrase."""
    if directory.fork_file.exists():
        return nobodys
    try:
        keys = replace(directory, passphrase=None).read_keyring()
    except KeysRefused:
        return nobodys
    return lambda cap: keys.has_sealed(cap.address, cap.wire)


def party_of(found: Authority, word: str) -> bytes:
    """A party by its label, a machine by its name, or any by a unique start of its address."""
    if word == "operator":
        return OPERATOR
    try:
        return found.reader.machine(word).address
    except NoSuchMachine as error:
        everyone = found.graph.everyone()
        exact = [one.address for one in everyone if one.label == word]
        starts = [one.address for one in everyone if one.address.hex().startswith(word)]
        meant = exact or starts
        if len(meant) != 1 or not word:
            if len(meant) > 1:
                raise CliError(f"{word} is several: give more of the address") from None
            raise CliError(f"{error}; `caps ls` shows clients and other hosts' addresses") from None
        return meant[0]


def meant_by(found: Authority, directory: Directory, word: str) -> tuple[bytes, Cut | None]:
    """Where a word leads to: a party, or a capability to it; one by its name in every generation."""
    cap = cap_of(found, directory, word)
    if cap is None:
        return party_of(found, word), None
    return target_of(cap), of_any_generation(cap) if NAMED.fullmatch(word) else one_capability(cap)


def cap_of(found: Authority, directory: Directory, word: str) -> Cap | None:
    """A capability by its text or MACHINE.name; None where the word is a party's."""
    word = word.strip()
    if word.startswith("avm:") or word.endswith("~"):
        parsed = parse_text(word)
        if isinstance(parsed, CommonName):
            return Named(parsed.name)
        try:
            return keys_of(found.reader, directory).open_untrusted(parsed.wire())
        except InvalidCapability:
            raise CliError("the capability is not valid here: it opens nothing") from None
    match = NAMED.fullmatch(word)
    if match is None:
        return None
    machine = found.reader.machine(match[1])
    names = found.reader.names(machine)
    if match[2] not in names:
        known = ", ".join(f"{machine.name}.{name}" for name in sorted(names)) or "none"
        mark = did_you_mean(match[2], names, ":")
        raise CliError(f"{machine.name} has no name {match[2]}{mark} {known}")
    return names[match[2]]


def unseen(found: Authority) -> Iterator[str]:
    """What the graph does not have, in words."""
    if found.ended:
        said = f"not seen: {counted(found.ended, 'client')} that ended and had capabilities"
        yield f"{said}; what was written down of them still works, see `caps ls N`"
    if found.unknown:
        said = counted(found.unknown, "capability", "capabilities")
        yield f"not seen: {said} that machines passed on to clients or other hosts and did not keep"


def terms_text(one: dict[str, Any]) -> str:
    """What stands on a capability, in a few words; empty where nothing does."""
    said = [f"generation {one['generation']}"] if one["generation"] else []
    said += [one["kind"]] if one["kind"] and not one["reply"] else []
    said += [f"until {utc(one['expires_ms'])}"] if one["expires_ms"] is not None else []
    said += [counted(one["caveats"], "caveat")] if one["caveats"] else []
    if one["dead"]:
        said.append(f"leads to {WHO_IS_GONE}" if one["dead"] == What.GONE.value else one["dead"])
    return ", ".join(said)


def gone_text(found: Authority, address: bytes) -> str:
    """That nothing leads to a party any more, where that is so."""
    party = found.graph.party(address)
    return f"{party.label} is gone: {WHO_IS_GONE}" if party.what is What.GONE else ""


def place_text(one: dict[str, Any]) -> str:
    """Where a capability is held."""
    match How(one["how"]):
        case How.SLOT:
            return f"slot {one['place']}"
        case How.NAME:
            return "by its name"
        case How.CONTEXT:
            return "in a context"
        case How.TIMER:
            return f"a timer due {utc(one['place'])}"
        case How.COMING:
            return f"on its way, batch {one['place']}"
        case How.ASK:
            return f"ask {one['place']}"
        case How.GIVEN:
            return "given"
        case How.FAILED:
            return f"failed batch {one['place']}"


def given_text(given: dict[str, Any] | None) -> str:
    """Who gave a capability, and in which turns."""
    if given is None:
        return ""
    by = given["by"] or "nobody known"
    turn = f"in turn {given['turn']} " if given["turn"] is not None else ""
    by_turn = f" (its turn {given['by_turn']})" if given["by_turn"] is not None else ""
    return f"{turn}from {by}{by_turn}"


def chain_json(found: Authority, chain: Chain) -> list[dict[str, Any]]:
    """A chain as JSON, each capability with who holds it and who gave it."""
    return [hop_json(found, one) for one in chain]


def hop_json(found: Authority, one: Holding) -> dict[str, Any]:
    """A holding as JSON, with its holder and who gave it."""
    told = {"holder": found.label(one.holder), **found.json(one)}
    return {**told, "given": found.given_json(found.given(one))}


def hop_line(one: dict[str, Any]) -> str:
    """A hop of a chain as a line."""
    said = [place_text(one), given_text(one["given"]), terms_text(one)]
    return f"{one['holder']} holds {one['to']} ({'; '.join(part for part in said if part)})"


__all__ = [
    "authority",
    "cap_of",
    "chain_json",
    "given_text",
    "gone_text",
    "hop_json",
    "hop_line",
    "meant_by",
    "party_of",
    "place_text",
    "terms_text",
    "unseen",
]
