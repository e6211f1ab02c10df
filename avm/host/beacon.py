"""What a host says of itself on the local network: its address and its port. Pure.

Beside the journey. CBOR `["avm-host", 1, address, port]` in a datagram to a multicast group. Anybody can
say it of anybody: it is a hint, and who is found there has to prove itself.
"""

from avm.host.header import ADDRESS_BYTES
from caps import shape
from caps.codec import dumps_plain, loads_plain_untrusted

NAME = "avm-host"
VERSION = 1
BEACON_BYTES_MAX = 64


def pack_beacon(address: bytes, port: int) -> bytes:
    """The datagram of a host that listens on a port."""
    return dumps_plain([NAME, VERSION, address, port])


def read_beacon_untrusted(body: bytes) -> tuple[bytes, int]:
    """An address and a port; raises `Malformed` only."""
    plain = loads_plain_untrusted(body, max_bytes=BEACON_BYTES_MAX, depth=2)
    name, version, address, port = shape.array(plain, 4, "beacon")
    if name != NAME:
        shape.refuse("beacon: name")
    shape.version(version, VERSION, "beacon")
    whose = shape.octets(address, ADDRESS_BYTES, "beacon: address")
    return whose, shape.integer(port, 1, 65535, "beacon: port")
