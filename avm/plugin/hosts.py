"""Hosts that run, as the ground of a world of tests: real processes, sockets and disks. Shell.

Each is what `avm-host run` starts, in a directory that is thrown away; they join each other over
loopback. Time is the machine's own, and cannot be moved.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Self, TypeVar

from avm.cli.link import ask
from avm.cli.show import keys_of
from avm.host.capability import Cap, Named, Sealed, to_wire
from avm.host.refer import slots_in
from avm.host.state import Machine
from avm.limits import Limits
from avm.past.labels import Lens
from avm.past.reading import Reader
from avm.past.states import state_at
from avm.plugin import HOSTS_MAX
from avm.plugin.session import Client, HostGone, OperatorRefused, address_in
from avm.run.child import HostProcess
from avm.run.directory import Directory
from avm.run.files import bundle_of
from avm.run.spawn import HASH_SEED
from avm.run.worker import forked
from avm.testing import files
from avm.testing.ground import About, NotCreated, NotHere, Sight
from caps.codec import decode_state
from caps.slots import Common, Foreign, Me, Narrowed
from caps.value import Capability, Record, Value

Answer = TypeVar("Answer")
LISTEN = "127.0.0.1:0"
SETTLE_S = 60.0
LOOK_S = 0.02
STILL_S = 0.3
OWED_S = 5.0
ADVANCE_S_MAX = 5.0
GRACE_S = 2.0
TRIES = 3


class Fields:
    """A state as a test looks at it, when the code that made it is not here: its fields by name."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def __getattr__(self, name: str) -> Any:
        try:
            found = self._record.fields[name]
        except KeyError:
            raise AttributeError(f"{self._record.name} has no field {name!r}") from None
        return Fields(found) if isinstance(found, Record) else found

    def __repr__(self) -> str:
        return repr(self._record)


class RealSitting:
    """A client of a running host; see `Sitting`."""

    def __init__(self, ground: "RealHosts", client: Client) -> None:
        self._ground = ground
        self.client = client
        self.address = client.address

    def ear(self, name: object) -> Capability:
        """A capability to this client, which it knows by the name."""
        return self._ground.kept_alive(self.client, lambda: self.client.ear(name))

    def offer(self, to: Capability, contents: Sequence[Value]) -> int:
        """Offers a batch; its number."""
        return self.client.offer(to, *contents)[1]

    def verdict(self, to: Capability, batch: int) -> list[Any] | None:
        """What became of a batch, if that is known."""
        return self.client.settled.get((self.client.receiver_of(self.client.wire(to)), batch))

    def ask(self, to: Capability, content: Value, timeout_s: float) -> int:
        """Offers a message that asks; its number."""
        deadline_ms = max(1, round(timeout_s * 1000))
        self.client.offer(to, content, asks=True, deadline_ms=deadline_ms)
        return self.client.next_ask

    def outcomes(self, ask: int) -> list[Value]:
        """What came of an ask so far."""
        return list(self.client.outcomes[ask])

    def take_inbox(self) -> list[tuple[Value, Value]]:
        """What came, with the names of the client's own capabilities it came to."""
        taken, self.client.heard[:] = list(self.client.heard), []
        return [(name, content) for _sender, name, content in taken]


class RealHosts:
    """So many hosts that run, `host-1` and on; see `Ground`. Made by `running`."""

    def __init__(
        self, directories: dict[str, Directory], processes: dict[str, HostProcess]
    ) -> None:
        self.directories = directories
        self._processes = processes
        self._wires: list[bytes] = []
        self._sittings: list[RealSitting] = []
        self._operators = {name: self._client(one, "operator") for name, one in directories.items()}
        self._homes: dict[str, str] = {}
        self._stack = ExitStack()
        self._turns = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        for client in [*self._operators.values(), *(one.client for one in self._sittings)]:
            client.close()

    def _client(self, directory: Directory, key: str) -> Client:
        client = Client(directory, key, held=self._wires)
        client.connect()
        client.wait(lambda: client.address)
        return client

    @property
    def now_ms(self) -> int:
        """The time in milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def names(self) -> set[str]:
        """The machines' names."""
        return set(self._homes)

    def create(
        self, source: object, name: str, environment: Value, about: About, on: str | None
    ) -> Value:
        """Creates a machine from a file; what its `init` answered."""
        file = _file_of(source)
        place = self._place(on)
        operator = self._operators[place]
        body, wires = operator.encode(environment)
        given = {"name": name, "bundle": bundle_of(file).encode(), "content": body, "caps": wires}
        params = {**given, "about": dict(about)}
        try:
            made = self.kept_alive(operator, lambda: operator.operate("create", **params))
        except OperatorRefused as error:
            raise NotCreated(str(error)) from None
        self._homes[name] = place
        return None if made["content"] is None else operator.decode(made["content"], made["caps"])

    def sit(self, on: str | None) -> RealSitting:
        """A new client."""
        key = f"client-{len(self._sittings) + 1}"
        sitting = RealSitting(self, self._client(self.directories[self._place(on)], key))
        self._sittings.append(sitting)
        return sitting

    def check(self, handle: Capability) -> None:
        """Raises ValueError for a capability that is not of this world."""
        self.cap_of(handle)

    def settle(self) -> None:
        """Goes on until for a while no turn is taken and no verdict comes, on any host.

        The while is longer where something is owed: a host may have to be looked up and dialed first.
        Not so where it is held for a suspended machine, as far as its sender's host knows of that.
        """
        end = time.monotonic() + SETTLE_S
        before: object = None
        still_since = time.monotonic()
        still_s = STILL_S
        while time.monotonic() < min(end, still_since + still_s):
            self._pump()
            clients = [one.client for one in self._sittings]
            moments = [self._moment(name) for name in self.directories]
            now = moments, [(one.unsettled, len(one.settled)) for one in clients]
            unsettled, held = (
                sum(one.unsettled for one in clients),
                sum(one.held for one in clients),
            )
            _turns, queued, underway = map(sum, zip(*moments, strict=True))
            is_owed = any(owed > held for owed in (unsettled, queued, underway))
            still_s = OWED_S if is_owed else STILL_S
            if now != before:
                before, still_since = now, time.monotonic()
            time.sleep(LOOK_S)

    def _moment(self, name: str) -> tuple[int, int, int]:
        """The turns so far, the batches that wait for one, those that other hosts have not taken."""
        operator = self._operators[name]
        status = self.kept_alive(operator, lambda: operator.operate("status"))
        channels = self.kept_alive(operator, lambda: operator.operate("channels"))
        out = [one for one in channels if one["way"] == "out" and not one["frozen"]]
        underway = sum(one["sent"] - one["taken"] for one in out)
        return status["store"]["turns"], status["waiting"], underway

    def step(self) -> bool:
        """Is not to be had."""
        raise NotHere("hosts that run cannot be stepped: settle(), or leave --avm-hosts away")

    def advance(self, seconds: float) -> None:
        """Waits so long, up to a few seconds."""
        if seconds > ADVANCE_S_MAX:
            most = f"hosts that run keep their own time, and wait at most {ADVANCE_S_MAX:g} s"
            raise NotHere(f"{most}: {seconds:g} s are for memory, without --avm-hosts")
        time.sleep(seconds)
        self.settle()

    def wait(self, done: Callable[[], bool], until_ms: int) -> None:
        """Waits until something is so, or that time has come."""
        end = time.monotonic() + (until_ms - self.now_ms) / 1000 + GRACE_S
        while not done() and time.monotonic() < end:
            self._pump()
            time.sleep(LOOK_S)

    def crash(self, on: str | None) -> None:
        """A host, or each, is killed with -9 and starts again."""
        for name in [on] if on is not None else list(self.directories):
            self._processes[name].kill()
            self._processes[name] = HostProcess.start(self.directories[name])
        for client in [*self._operators.values(), *(one.client for one in self._sittings)]:
            client.close()
            client.connect()

    def state(self, name: str) -> Any:
        """A machine's committed state, its fields by name."""
        body, references = self._state(name)
        directory = self.directories[self._homes[name]]
        with self._reading(name) as (reader, machine):
            lens = Lens(machine.address, reader.slots(machine), reader.labels())
            keys = keys_of(reader, directory)
        operator = self._operators[self._homes[name]]
        handles: list[Capability] = []
        for reference in references:
            cap = lens.cap_of(lens.handle(reference))
            assert cap is not None, f"{name} refers to what was collected"
            handles.append(operator.hold(to_wire(cap, keys.to_seal)))
        state = decode_state(body, handles, me=Me(machine.generation))
        return Fields(state) if isinstance(state, Record) else state

    def failures(self, name: str) -> list[str]:
        """The tracebacks of the batches that broke a machine, the oldest first."""
        with self._reading(name) as (reader, machine):
            return [batch.detail for batch in reader.failed(machine)]

    def printed(self, name: str) -> str:
        """What a machine has printed."""
        with self._reading(name) as (reader, machine):
            entries = reader.store.entries(machine.id)
            return "".join(printed for _n, _body, printed in entries if printed)

    def upgrade(self, name: str, source: object) -> None:
        """Switches a machine to other code."""
        operator = self._operators[self._homes[name]]
        params = {"machine": name, "bundle": bundle_of(_file_of(source)).encode()}
        try:
            self.kept_alive(operator, lambda: operator.operate("upgrade", **params))
        except OperatorRefused as error:
            raise NotCreated(str(error)) from None

    def failures_at(self, to: Capability) -> list[str]:
        """The tracebacks of the machine that a capability leads to."""
        cap = self.cap_of(to)
        address = cap.address if isinstance(cap, Sealed) else b""
        found = [name for name in self._homes if self.address_of(name) == address]
        return self.failures(found[0]) if found else []

    def address_of(self, name: str) -> bytes:
        """A machine's address."""
        with self._reading(name) as (_reader, machine):
            return machine.address

    def sights(self) -> list[Sight]:
        """What there is to look at for who holds what."""
        found: list[Sight] = []
        for host, directory in self.directories.items():
            reader = self._stack.enter_context(Reader.open(directory))
            keys = keys_of(reader, directory)
            found.append(Sight(host, reader.store, keys.open_untrusted, self._kept))
        return found

    def cap_of(self, handle: Capability) -> Cap:
        """What a handle of the test stands for."""
        if isinstance(handle, Common):
            return Named(handle._name)
        inner = handle._inner if isinstance(handle, Narrowed) else handle
        if not isinstance(inner, Foreign) or inner._slot >= len(self._wires):
            raise ValueError("this capability is not of this world: use client.cap()")
        wire = next(iter(self._operators.values())).wire(handle)
        return Sealed(address_in(wire), wire)

    # What is behind it.

    def kept_alive(self, client: Client, act: Callable[[], Answer]) -> Answer:
        """Does something over a client's connection, once more after its host was gone."""
        for _ in range(TRIES):
            try:
                return act()
            except HostGone:
                with suppress(HostGone):
                    client.connect()
        raise NotHere("the host does not come back")

    def _pump(self) -> None:
        for one in self._sittings:
            while self.kept_alive(one.client, one.client.pump):
                pass

    def _place(self, on: str | None) -> str:
        """The host of this name, or the next in turn."""
        names = list(self.directories)
        if on is None:
            self._turns += 1
            return names[(self._turns - 1) % len(names)]
        if on not in names:
            raise NotHere(f"there is no host {on!r}: they are {', '.join(names)}")
        return on

    def _kept(self, name: str) -> set[int]:
        return set(slots_in(self._state(name)[1]))

    def _state(self, name: str) -> tuple[bytes, list[Any]]:
        with self._reading(name) as (reader, machine), forked(HASH_SEED, Limits()) as worker:
            return state_at(reader, machine, worker)

    @contextmanager
    def _reading(self, name: str) -> Iterator[tuple[Reader, Machine]]:
        if name not in self._homes:
            raise NotHere(f"no host has a machine {name!r}")
        with Reader.open(self.directories[self._homes[name]]) as reader, reader.reading():
            yield reader, reader.machine(name)


def _file_of(source: object) -> str:
    path = files.path_of(source)
    if isinstance(path, ModuleType):
        path = path.__file__
    if not isinstance(path, str):
        raise NotHere("hosts that run take a file or a module: give world.machine() one of them")
    return path


@contextmanager
def running(count: int) -> Iterator[RealHosts]:
    """So many hosts that have joined each other, stopped at the end."""
    assert 1 <= count <= HOSTS_MAX, f"1 to {HOSTS_MAX} hosts"
    with ExitStack() as stack:
        directories: dict[str, Directory] = {}
        processes: dict[str, HostProcess] = {}
        route = ""
        for number in range(count):
            name = f"host-{number + 1}"
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="avm-test-"))
            directories[name] = directory = Directory(Path(folder) / "host")
            directory.create()
            directory.config_file.write_text(_config(LISTEN, route), "utf-8")
            processes[name] = HostProcess.start(directory)
            stack.callback(_stop, processes, name)
            own = str(ask(directory, "status", {})["route"])
            # When it is killed and comes back it is where the others look for it.
            directory.config_file.write_text(_config(own.partition("@")[2], route), "utf-8")
            route = route or own
        yield stack.enter_context(RealHosts(directories, processes))


def _stop(processes: dict[str, HostProcess], name: str) -> None:
    processes[name].stop()


def _config(listen: str, route: str) -> str:
    """The configuration of a host; the first one has nobody to join."""
    bootstrap = json.dumps([route] if route else [])
    network = ["[network]", f'listen = "{listen}"', f"bootstrap = {bootstrap}"]
    return "\n".join(["[host]", "workers = 1", *network]) + "\n"
