"""How each thing in a world is kept: the classes whose objects are their fields, and those made anew. Pure.

Code and what is only remembered to save work are not kept, and keys stand beside the graph: `Given` has them.
"""

from typing import Any

from avm.graph import BadGraph, Form, Made
from avm.host import saved
from avm.host.core import Core
from avm.host.journal import hash_of_code
from avm.host.keys import Keyring
from avm.host.sender import Sender
from avm.limits import Limits
from avm.link.limits import LinkLimits
from avm.machine.live import CannotLoad
from avm.nat import effects as round_routers
from avm.nat import finding, introducer, meetings, relay, seats, standing
from avm.nat.bucket import Bucket
from avm.nat.limits import NatLimits
from avm.nat.traversal import Traversal
from avm.nat.tunnels import Tunnels
from avm.sim import coming, plan, scene
from avm.sim.agenda import Agenda
from avm.sim.chance import Chance
from avm.sim.client import Client, Handles
from avm.sim.code import Codes
from avm.sim.entropy import Entropy
from avm.sim.files import Files
from avm.sim.host import SimHost
from avm.sim.lies import LIES, Liar
from avm.sim.router import Router
from avm.sim.weather import Weather
from avm.sim.worker import SimWorker
from avm.store.interface import Transaction
from avm.store.memory import MemoryStore
from caps.codec import decode_content_untrusted, encode_content
from caps.errors import CapsError, Malformed
from caps.identity import Endpoint, RootKey, Route
from caps.map import Map
from caps.slots import Common, Foreign
from caps.value import Affine, Capability, Failed, Linear, Relevant
from dht import asking, effects, lookup, newest, path, publishing, shelf, silences, storing, upkeep
from dht.contact import Contact
from dht.errors import InvalidRecord
from dht.joining import Joining
from dht.locating import Locating, Surroundings
from dht.node import Node
from dht.observed import Observed
from dht.pace import Pace
from dht.proofs import Kind, Proofs, Proved
from dht.provider import Provider
from dht.rates import Rates
from dht.record import Location
from dht.refreshing import Refreshing
from dht.serving import Server
from dht.settings import Settings
from dht.table import Table
from dht.tokens import Tokens


class Given:
    """What a world is loaded with: itself, its code and keys, and proofs that were checked before."""

    __slots__ = ("codes", "digests", "keyrings", "keys", "limits", "proofs", "world")

    def __init__(
        self, world: Any, limits: Limits, codes: Codes, seeds: tuple[Any, ...], proofs: Proofs
    ) -> None:
        """`seeds` are those of each host, see `SimHost.keyring_seeds`; raises `BadGraph`."""
        self.world = world
        self.limits = limits
        self.codes = codes
        self.proofs = proofs
        self.digests = {hash_of_code(bundle): bundle for bundle in codes}
        try:
            rings = [Keyring.of(*parts) for parts in seeds]
            roots = [RootKey(root) for parts in seeds for root in parts[4:5]]
        except (TypeError, ValueError, Malformed) as error:
            raise BadGraph(f"keys that are none: {error}") from None
        self.keyrings = {ring.address: ring for ring in rings}
        keys = [*roots, *(ring.key for ring in rings)]
        self.keys = {key.public_key: key for key in keys}


_NODE = (
    *(Node, Joining, Refreshing, Locating, Surroundings, Observed, Server, Rates, Tokens, Settings),
    *(asking.Asker, asking.Questions, asking.RoundTrips, asking.Question),
    *(asking.ForLookup, asking.ForCheck, asking.ForStore, upkeep.Upkeep, upkeep.Heard),
    *(silences.Silences, silences.Silence),
    *(lookup.Lookup, lookup.Step, path.Path, path.Asked, path.State),
    *(newest.Newest, newest.Mark, newest.Verdict, shelf.Shelf, shelf.Held, Kind, Pace),
    *(publishing.Publishing, publishing.Own, publishing.Outcome, Location, Provider, Route),
    *(storing.Storing, storing.Publication, effects.Send, effects.Found, effects.Ended),
    *(effects.Published, effects.Superseded, effects.Evidence, effects.Seen),
    *(effects.TableChanged,),
)
_NAT = (
    *(Traversal, Tunnels, NatLimits, Bucket, standing.Standing, standing.Trying),
    *(seats.Seat, seats.Help, introducer.Introducer, introducer.Introduction),
    *(meetings.Meetings, meetings.Met, meetings.Phase, relay.RelayingHost, relay.End),
    *(relay.Session, round_routers.Way, round_routers.Tell, round_routers.Send),
    *(round_routers.SendAside, round_routers.Tunnel, round_routers.Dig, round_routers.Fill),
    *(round_routers.Hear, round_routers.Through, round_routers.DialAt, round_routers.NotMet),
    *(round_routers.Retire, round_routers.Hidden, round_routers.Announce),
)
_WORLD = (
    *(scene.Scene, scene.Site, scene.End, scene.Lane, scene.Dial, scene.Aim, scene.Asked),
    *(
        coming.Wake,
        coming.WakeNode,
        coming.WakeNat,
        coming.KeepTunnel,
        coming.SaveNode,
        coming.Renew,
        coming.Work,
        coming.Write,
    ),
    *(
        coming.Heard,
        coming.Speak,
        coming.Boot,
        coming.Packet,
        coming.Frame,
        coming.Room,
        coming.Knock,
    ),
    *(coming.KnockAgain, coming.Answered, coming.GiveUp, coming.Down, coming.Idle, coming.Tell),
    *(coming.Begin, coming.Finish, plan.Plan, *plan.FAULTS, Agenda, Chance, Entropy, Weather),
    *(Router, finding.Finder, finding.LookUp, finding.Try, finding.Meet, finding.At),
    *(finding.NoLink, SimHost, Core, Client, Handles, Sender, MemoryStore, Transaction),
    *(LinkLimits, Files),
)


# Keys, code, proofs.


def _keyring(given: Given, address: bytes, *known: Any) -> Keyring:
    if address not in given.keyrings:
        raise BadGraph("nobody has its keys")
    return given.keyrings[address].knowing(*known)


def _root(given: Given, public: bytes) -> RootKey:
    if public not in given.keys:
        raise BadGraph("nobody has its keys")
    return given.keys[public]


def _proved(given: Given, kind: Kind, key: bytes, body: bytes) -> Proved:
    try:
        return given.proofs.proved_untrusted(kind, key, body)
    except InvalidRecord as error:
        raise BadGraph(str(error)) from None


def _worker_parts(worker: SimWorker) -> tuple[Any, ...]:
    assert not worker.told, "what a worker tells is heard at once"
    state = () if worker.hangs else worker.inside.saved()
    liar = worker.liar
    lies = () if liar is None else (liar.lie, liar.left, liar.chance.state)
    return (tuple(worker.frames), worker.hangs, worker.is_planned, state, lies)


def _worker(given: Given, *parts: Any) -> SimWorker:
    frames, hangs, is_planned, inside, lies = parts
    worker = SimWorker(given.limits, given.codes.of)
    worker.frames.extend(frames)
    worker.hangs, worker.is_planned = hangs, is_planned
    if lies and lies[0] not in LIES:
        raise BadGraph("a lie that nobody tells")
    worker.liar = Liar(lies[0], lies[1], Chance(lies[2])) if lies else None

    def code_of(digest: bytes) -> Any:
        if digest not in given.digests:
            raise BadGraph("a bundle that it does not have")
        return given.codes[given.digests[digest]]

    try:
        if inside:
            worker.inside.load_saved(code_of, inside)
    except (CapsError, CannotLoad) as error:
        raise BadGraph(str(error)) from None
    return worker


# Contacts and the table of them.


def _table_parts(table: Table) -> tuple[Any, ...]:
    buckets = tuple(
        (index, _pairs(bucket.nodes), _pairs(bucket.replacement_nodes))
        for index, bucket in table.buckets.items()
    )
    return (table.own, table.settings, buckets, _pairs(table.lost))


def _pairs(contacts: dict[bytes, Contact]) -> tuple[tuple[bytes, Endpoint], ...]:
    return tuple((one.id, one.endpoint) for one in contacts.values())


def _table(_given: Given, own: int, settings: Settings, buckets: Any, lost: Any) -> Table:
    table = Table(own.to_bytes(32, "big"), settings)
    for index, nodes, waiting in buckets:
        bucket = table.make_bucket(index)
        bucket.nodes.update((octets, Contact(octets, at)) for octets, at in nodes)
        bucket.replacement_nodes.update((octets, Contact(octets, at)) for octets, at in waiting)
    table.lost.update((octets, Contact(octets, at)) for octets, at in lost)
    return table


# Values that clients hold.


def _value_parts(value: Any) -> tuple[Any, ...]:
    body, caps = encode_content(value)
    return (body, tuple(_reference(cap) for cap in caps))


def _reference(cap: Capability) -> int | str:
    if isinstance(cap, Common):
        return cap._name
    assert isinstance(cap, Foreign), "a client holds handles"
    return cap._slot


def _value(_given: Given, body: bytes, references: tuple[int | str, ...]) -> Any:
    try:
        handles = [_handle(_given, one) for one in references]
        return decode_content_untrusted(body, handles)
    except CapsError as error:
        raise BadGraph(str(error)) from None


def _handle(_given: Given, reference: int | str) -> Capability:
    return Common(reference) if isinstance(reference, str) else Foreign(reference)


_VALUES = (Map, Failed, Linear, Affine, Relevant)
_MADE = (
    saved.BUFFER,
    saved.IDENTITY,
    saved.DEADLINES,
    Made(Keyring, lambda keys: (keys.address, *keys.known()), _keyring),
    Made(RootKey, lambda key: (key.public_key,), _root),
    Made(Codes, lambda codes: (), lambda given: given.codes),
    Made(Proofs, lambda proofs: (), lambda given: given.proofs),
    Made(Proved, lambda one: (one.kind, one.key, one.body), _proved, True),
    Made(SimWorker, _worker_parts, _worker),
    Made(Contact, lambda one: (one.id, one.endpoint), lambda _given, *parts: Contact(*parts), True),
    Made(Table, _table_parts, _table),
    *(Made(one, _value_parts, _value, True) for one in _VALUES),
    *(
        Made(one, lambda cap: (_reference(cap),), _handle, True)
        for one in (type(Foreign(0)), Common)
    ),
)


def world_form(driver: Made) -> Form:
    """The form of a world, of which `driver` is how those that let its time pass are kept."""
    return Form((*saved.CLASSES, *_NODE, *_NAT, *_WORLD), [*_MADE, driver])
