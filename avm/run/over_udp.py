"""A host's network over UDP: the port, the listener and the beacon that its `Network` stands on.

Step 7 of the journey, where it meets the system: all else takes them as they are given, and the
simulator gives it others.
"""

from collections.abc import Callable

from avm.host.core import Core
from avm.host.keys import Keyring
from avm.link.handshake import Credentials
from avm.link.interface import Owner
from avm.link.port import Take
from avm.link.quic import QuicListener
from avm.link.udp import UdpPort
from avm.run.beacon import Beacon
from avm.run.config import Config
from avm.run.network import Network, Note


def network_over_udp(
    core: Core,
    keys: Keyring,
    config: Config,
    entropy: Callable[[int], bytes],
    settle: Callable[[], None],
    note: Note,
) -> Network:
    """Binds the port; raises `EndpointInUse`."""
    place = config.network
    port = UdpPort(place.endpoint, place.ip)

    def listen(owner: Owner, take: Take) -> QuicListener:
        me = Credentials(keys.key, keys.identity, keys.proof.certificate)
        end = port.endpoint, me, owner, entropy, config.links, port.moment(), port.wake
        listener = QuicListener(*end, keys.reset_key)
        port.serve(listener, take)
        return listener

    beacon = None
    if place.group is not None:
        beacon = Beacon(place.group, port.endpoint, keys.address)
    return Network(core, keys, config, port, listen, beacon, entropy, settle, note)
