"""A machine `mail` at each of some hosts, and a clerk there who has letters posted."""

from contextlib import suppress
from typing import Any

from avm.plugin.session import HostGone
from tests.net.hosts import wait_until
from tests.net.weather import Front


class Post:
    """The machines and their clerks; capabilities go from hand to hand, outside the network."""

    def __init__(self, hosts: list[Front]) -> None:
        self.hosts = hosts
        self.clients = [host.client(f"clerk {i}", durable=True) for i, host in enumerate(hosts)]
        self.caps: list[dict[str, bytes]] = []
        for host, client in zip(hosts, self.clients, strict=True):
            names: Any = host.create(client, "mail.py")
            self.caps.append({name: client.wire(cap) for name, cap in names.items()})

    def back(self, host: Front) -> None:
        """Has a host that was killed come back, and its client with it."""
        with suppress(HostGone):
            for client in self.clients:
                while client.pump():
                    pass
        host.kill()
        host.start()
        client = self.clients[self.hosts.index(host)]
        client.connect()
        # Who is asked by it uses the new link from then on, and need not wait for the old one's end.
        for caps in self.caps:
            client.offer(caps["read"], asks=True)

    def read(self, place: int) -> Any:
        """What the machine at a host says of itself."""
        return self.clients[place].call(self.caps[place]["read"])

    def await_letter(self, place: int, number: int) -> None:
        """Waits until a letter has come to the machine at a host."""
        wait_until(lambda: self.read(place)[0] >= number, f"letter {number} does not come")
