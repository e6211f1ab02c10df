"""Capabilities in a command's arguments, looked up in the store instead of at a running host."""

from avm.cli.errors import CliError, Usage
from avm.cli.values import NAMED, Encoded, Holder
from avm.host.capability import Cap, Local, to_wire
from avm.host.keys import Keyring
from avm.host.state import Machine
from avm.near import did_you_mean
from avm.past.reading import Reader
from avm.run.directory import Directory
from caps.capability import SealedCapability, parse_wire_untrusted
from caps.errors import InvalidCapability


class StoreHolder(Holder):
    """The capabilities of one command that only reads."""

    def __init__(self, directory: Directory, reader: Reader, keys: Keyring) -> None:
        super().__init__(directory)
        self._reader = reader
        self._keys = keys

    def look_up(self, text: str) -> bytes:
        """The wire form of MACHINE.name."""
        match = NAMED.fullmatch(text)
        if match is None:
            raise Usage(
                f"{text!r} is no capability: write avm:..., or MACHINE.name like counter.add"
            )
        machine = self._reader.machine(match[1])
        names = self._reader.names(machine)
        if match[2] not in names:
            known = ", ".join(sorted(names)) or "none"
            mark = did_you_mean(match[2], names)
            raise CliError(f"{machine.name} has no name {match[2]}{mark} it has: {known}")
        return to_wire(names[match[2]], self._keys.to_seal)

    def target(self, text: str) -> tuple[Machine, Local]:
        """The machine of this store that a capability goes to, and the capability; CliError."""
        cap = self.opened(self.resolve(text))
        if not isinstance(cap, Local):
            raise CliError("that is no capability to a machine of this host: `ls` shows those")
        for machine in self._reader.machines():
            if machine.address == cap.address:
                return machine, cap
        raise CliError("the machine of this capability is not here: `ls` shows those there are")

    def opened(self, wire: bytes) -> Cap:
        """A capability as the host holds it; CliError for one that is not valid."""
        parsed = parse_wire_untrusted(wire)
        try:
            return self._keys.open_untrusted(wire)
        except InvalidCapability:
            start = parsed.address.hex()[:8] if isinstance(parsed, SealedCapability) else ""
            raise CliError(f"rejected: a capability to {start}.. is not valid") from None

    def opened_content(self, content: Encoded) -> tuple[bytes, tuple[Cap, ...]]:
        """A message's content, and the capabilities in it as the host holds them."""
        body, wires = content
        return body, tuple(self.opened(wire) for wire in wires)


__all__ = ["StoreHolder"]
