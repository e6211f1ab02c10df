"""Hosts behind routers, in network namespaces that a test makes: masquerading nftables, all on this machine.

One namespace is the network that all can reach, `198.51.100.0/24`; each router has a leg there and one in
a network of its own, with one host behind it. All of it ends with the process that holds it.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.net.hosts import PATIENCE_S, RunningHost, wait_until
from tests.net.spread import address_of

PUBLIC = "198.51.100"
PORT = 4433
# How soon these hosts notice that a link is gone, and try whether a relayed one can be better.
IDLE_S, UPGRADE_S = 4.0, 2.0
# It takes five seconds, of which three are tries.
INTRODUCED_S = 60.0
HASTY = (
    f"links.idle_s={IDLE_S}",
    f"links.keep_alive_s={IDLE_S / 4}",
    f"limits.upgrade_s={UPGRADE_S}",
)
TOOLS = ("unshare", "nsenter", "ip", "nft")
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


# What a namespace's process gives back once it is there.
ECHO = b"made\n"
# Writes whatever comes to any interface of its namespace to a file.
EARS = """
import socket, sys
every = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
print("here", flush=True)
with open(sys.argv[1], "wb", buffering=0) as file:
    while True:
        file.write(every.recv(65_535))
"""


class Space:
    """A network namespace, held by a process that does nothing."""

    def __init__(self, parent: "Space | None" = None) -> None:
        self._holder = subprocess.Popen(
            [*([] if parent is None else parent.within), "unshare", *self._kind(parent), "cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        assert self._holder.stdin is not None and self._holder.stdout is not None
        try:
            self._holder.stdin.write(ECHO)
            made = self._holder.stdout.read(len(ECHO))
        except BrokenPipeError:
            made = b""
        if made != ECHO:
            said = self._holder.communicate()[1].decode().strip()
            raise PermissionError(said)
        self.pid = self._holder.pid
        self.do("ip link set lo up")

    @staticmethod
    def _kind(parent: "Space | None") -> list[str]:
        return ["-Urn"] if parent is None else ["-n"]

    @property
    def within(self) -> list[str]:
        """What stands before a command that is to run here."""
        enter = ["nsenter", "-t", str(self.pid), "-U", "-n", "--preserve-credentials"]
        return enter

    def do(self, script: str) -> str:
        """Runs a shell script here, each line of which has to succeed."""
        done = subprocess.run(
            [*self.within, "sh", "-e"],
            input=script.encode(),
            capture_output=True,
            timeout=PATIENCE_S,
            env={**os.environ, "PATH": PATH},
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    @contextmanager
    def overheard(self, file: Path) -> Iterator[None]:
        """Meanwhile every packet that passes here is written to a file."""
        ears = subprocess.Popen(
            [*self.within, sys.executable, "-c", EARS, str(file)], stdout=subprocess.PIPE
        )
        assert ears.stdout is not None
        ears.stdout.readline()
        try:
            yield
        finally:
            ears.kill()
            ears.communicate()

    def close(self) -> None:
        """Ends the namespace."""
        self._holder.kill()
        self._holder.communicate()


class Router(Space):
    """A router with one public IP that it may change, and how it maps what comes from behind.

    `accept` for a mapping is a firewall: the host behind it has a public IP of its own.
    """

    def __init__(self, world: Space, number: int, mapping: str = "masquerade") -> None:
        super().__init__(world)
        self._world = world
        self.number = number
        self.ip = f"{PUBLIC}.{10 + number}"
        self.inside = f"10.{number}.0.2" if mapping != "accept" else f"{PUBLIC}.{100 + number}"
        world.do(
            f"""
            ip link add r{number} type veth peer name out netns {self.pid}
            ip link set r{number} master bridge
            ip link set r{number} up
            """
        )
        self.do(
            f"""
            echo 1 > /proc/sys/net/ipv4/ip_forward
            ip addr add {self.ip}/24 dev out
            ip link set out up
            """
        )
        self.nft(
            f"""
            table ip nat {{
                chain out {{
                    type nat hook postrouting priority 100;
                    oifname "out" {mapping}
                }}
            }}
            table ip guard {{
                chain local {{
                    type filter hook input priority 0;
                    iifname "out" ct state new drop
                }}
                chain through {{
                    type filter hook forward priority 0;
                    iifname "out" ct state new drop
                }}
            }}
            """
        )
        self.behind = Space(world)
        self.do(
            f"""
            ip link add in type veth peer name eth netns {self.behind.pid}
            ip addr add 10.{number}.0.1/24 dev in
            ip link set in up
            ip route replace {self.inside} dev in
            echo 1 > /proc/sys/net/ipv4/conf/out/proxy_arp
            """
        )
        self.behind.do(
            f"""
            ip addr add {self.inside}/32 dev eth
            ip link set eth up
            ip route add default via 10.{number}.0.1 dev eth onlink
            """
        )

    def nft(self, rules: str) -> None:
        """Adds rules."""
        lines = "\n".join(line.strip() for line in rules.strip().splitlines())
        self.do(f"nft -f - <<'RULES'\n{lines}\nRULES\n")

    def forget_after(self, seconds: int) -> None:
        """Forgets a mapping on which nothing passed for so long."""
        names = ("nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream")
        self.do("\n".join(f"echo {seconds} > /proc/sys/net/netfilter/{one}" for one in names))

    def block(self, other: str) -> None:
        """Lets nothing through to or from an IP."""
        self.nft(
            f"""
            table ip block {{
                chain through {{
                    type filter hook forward priority 10;
                    ip daddr {other} drop
                    ip saddr {other} drop
                }}
            }}
            """
        )

    def narrow(self, mtu: int) -> None:
        """Lets no IP packet through that is longer, either way."""
        self.do(f"ip link set out mtu {mtu}")
        self._world.do(f"ip link set r{self.number} mtu {mtu}")

    def unblock(self) -> None:
        """Takes that back."""
        self.nft("delete table ip block")

    def move(self, number: int) -> None:
        """Gets another public IP; what was mapped to the old one is forgotten."""
        old, self.ip = self.ip, f"{PUBLIC}.{number}"
        self.do(f"ip addr del {old}/24 dev out\nip addr add {self.ip}/24 dev out")

    def close(self) -> None:
        self.behind.close()
        super().close()


class World:
    """The network that all can reach, with hosts in it and behind routers."""

    def __init__(self, path: Path, *settings: str) -> None:
        self._path = path
        self._settings = settings
        self._spaces: list[Space] = []
        self.hosts: list[RunningHost] = []
        self.spaces: dict[RunningHost, Space] = {}
        self.hasty = True
        self.space = self._made(Space())
        self.space.do("ip link add bridge type bridge\nip link set bridge up")

    def _made(self, space: Space) -> Space:
        self._spaces.append(space)
        return space

    def router(self, number: int, mapping: str = "masquerade") -> Router:
        """A router with its public leg."""
        router = Router(self.space, number, mapping)
        self._made(router)
        return router

    def public(self, number: int, *settings: str, through: str = "") -> RunningHost:
        """A running host that all can reach."""
        space = self._made(Space(self.space))
        self.space.do(
            f"""
            ip link add h{number} type veth peer name eth netns {space.pid}
            ip link set h{number} master bridge
            ip link set h{number} up
            """
        )
        space.do(f"ip addr add {PUBLIC}.{number}/24 dev eth\nip link set eth up")
        return self._host(f"public-{number}", space, f"{PUBLIC}.{number}:{PORT}", settings, through)

    def behind(
        self, router: Router, *settings: str, through: str = "", ip: str = "", port: int = PORT
    ) -> RunningHost:
        """A running host behind a router; it listens at an IP of the machine, or where it is said."""
        name = f"behind-{router.number}-{len(self.hosts)}"
        where = f"{ip or router.inside}:{port}"
        return self._host(name, router.behind, where, settings, through)

    def _host(
        self, name: str, space: Space, where: str, settings: tuple[str, ...], through: str
    ) -> RunningHost:
        place = self._path / name
        place.mkdir()
        bootstrap = [f'network.bootstrap=["{through}"]'] if through else []
        listen = f'network.listen="{where}"'
        hasty = HASTY if self.hasty else ()
        host = RunningHost(place, [*hasty, *self._settings, *settings, listen, *bootstrap])
        host.within = space.within
        self.hosts.append(host)
        self.spaces[host] = space
        host.start()
        return host

    def close(self) -> None:
        """Ends all hosts and namespaces."""
        for host in self.hosts:
            host.close()
        for space in reversed(self._spaces):
            space.close()


PROBE = """
ip link add bridge type bridge
ip link add one type veth peer name two
nft add table ip probe
nft add chain ip probe out '{ type nat hook postrouting priority 100; }'
nft add rule ip probe out masquerade
"""


def why_not() -> str:
    """Why there can be no such world here; empty when there can."""
    missing = [one for one in TOOLS if shutil.which(one, path=PATH) is None]
    if missing:
        return f"no {', '.join(missing)}: the packages are util-linux, iproute2, nftables"
    try:
        space = Space()
    except PermissionError as error:
        return f"no network namespaces: {error}"
    try:
        space.do(PROBE)
    except AssertionError as error:
        return f"the kernel has not all of it: {error}"
    finally:
        space.close()
    return ""


@contextmanager
def world(path: Path, *settings: str) -> Iterator[World]:
    """A world for a test; skipped where the tools are not there or the kernel forbids it."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    made = World(path, *settings)
    try:
        yield made
    finally:
        made.close()


def ways_to(host: RunningHost, other: RunningHost) -> list[str]:
    """How the links of a host to another one go."""
    address = address_of(other)
    client = host.client()
    found = [one["way"] for one in client.operate("links") if one["host"] == address]
    client.close(ended=True)
    return found


def wait_until_introduced(host: RunningHost) -> None:
    """Waits until a host has published who introduces it."""
    address = bytes.fromhex(address_of(host))
    client = host.client()

    def introducers() -> list[str]:
        found = client.operate("locate", address=address)["records"]
        return [one for record in found for one in record["introducers"]]

    wait_until(introducers, "nobody introduces it", INTRODUCED_S)
    client.close(ended=True)
