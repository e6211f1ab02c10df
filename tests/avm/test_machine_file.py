"""The bytes of a machine file, pinned, both ways."""

import json
from io import BytesIO
from pathlib import Path

from avm.host import carrying
from avm.host.machine_file import unpack_untrusted
from avm.sim.host import SimHost
from tests.avm.journals import make, tell

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "machine_file.json").read_text())
LAMP = """
from avm import Send

def init(message, me):
    return message.answer({"light": me("light")}), me

def step(message, me):
    if message.context == "light":
        return [Send(me("out"), after_s=60)], (me, message.now)
    return [], me
"""


def made() -> tuple[bytes, bytes]:
    """A lamp that is lit goes into a file: its address, and the file as the code makes it now."""
    world = SimHost(11)
    created = make(world, "lamp", LAMP)
    client = world.client()
    tell(client, world, client.hold(created.names["light"]), None)
    world.suspend("lamp")
    lamp = world.machine("lamp")
    world.ask(lambda request: carrying.export(world.core.host, request, lamp, "lamp.machine", True))
    return lamp.address, world.files.files["lamp.machine"]


def test_a_machine_file_is_the_bytes_that_are_pinned() -> None:
    address, octets = made()
    assert octets.hex() == VECTORS["lamp"]
    assert octets.startswith(b"avm-host machine\x01\x00\x04lamp")
    assert address.hex() == VECTORS["address"]


def test_a_machine_is_read_back_from_its_pinned_bytes() -> None:
    unpacked = unpack_untrusted(BytesIO(bytes.fromhex(VECTORS["lamp"])).read, 7)
    assert unpacked.name == "lamp" and unpacked.landing.address.hex() == VECTORS["address"]
    parcel = unpacked.parcel
    assert (parcel.incarnation, parcel.status, len(parcel.timers)) == (2, 2, 1)
    assert [row[:2] for row in unpacked.group.journal] == [(7, n) for n in range(parcel.head)]
    assert [row[:2] for row in unpacked.group.snapshots] == [(7, parcel.snapshot_at)]
    assert list(unpacked.group.dirty) == [("code", parcel.code)]
