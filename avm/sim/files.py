"""The files that simulated machines are carried in: written ones, and those that have no name yet. Pure."""

from dataclasses import dataclass, field
from io import BytesIO

from avm.host import carrying, machine_file
from avm.host.core import Core
from avm.host.effects import Discard, Export, Exported
from avm.host.history import Reads
from caps.errors import Malformed


@dataclass(slots=True)
class Files:
    """What is on a disk beside the store; it outlives the host's crashes. `full` refuses what is new."""

    files: dict[str, bytes] = field(default_factory=dict)
    parts: dict[str, bytes] = field(default_factory=dict)
    full: bool = False

    def carry_out(self, core: Core, store: Reads, effect: Export | Exported | Discard) -> None:
        """Does what a core asks for, at once."""
        host = core.host
        match effect:
            case Export(address, whole):
                left = host.moves.leaving[address]
                keys = host.keys.open_machine(left.keys)
                try:
                    octets = b"".join(machine_file.pack(store, left, keys, whole))
                except Malformed as error:
                    carrying.unwritten(host, address, str(error))
                    return
                if self.full:
                    carrying.unwritten(host, address, "No space left on device")
                    return
                self.parts[left.name_there] = octets
                carrying.written(host, address)
            case Exported(address, request):
                file = host.moves.carried[address].file
                if file in self.parts:
                    self.files[file] = self.parts.pop(file)
                carrying.named(host, address, request)
            case Discard(file):
                self.parts.pop(file, None)

    def read(self, octets: bytes, number: int) -> machine_file.Unpacked:
        """A machine out of a file; raises `Malformed`."""
        return machine_file.unpack_untrusted(BytesIO(octets).read, number)
