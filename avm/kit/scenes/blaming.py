"""Scenes of Horton: who asks whom is known, and one is blocked without the others. Pure."""

from collections.abc import Mapping

from avm.kit.stage import HERE, THERE, Stage, cap_in
from caps.value import Capability

Desk = Mapping[str, Capability]


def it_is_known_who_asks_and_each_is_blocked_alone(stage: Stage) -> None:
    """Alice introduces Bob to Carol; from then on Carol knows Bob as Bob, and blocks whom she likes."""
    alice, bob, carol = _party(stage, "alice"), _party(stage, "bob", THERE), _party(stage, "carol")
    bobs, carols = stage.party(), stage.party(HERE)
    to_carol = _access(stage, carol, carols.ear, alice)
    to_bob = _access(stage, bob, bobs.ear, alice)
    stage.same(stage.call(to_carol, "hello"), "ok", "the answer through two parties")
    stage.refused(to_bob, carols.ear)
    stage.call(to_bob, ("meet", to_carol))
    met = cap_in(bobs.heard(), 0, 1)
    bobs.asks(met, "hi")
    bobs.asks(met, "hi")
    carols.hears("hello", "hi", "hi")
    stage.same(_log(stage, carol), {"alice": 2, "bob": 2}, "who has asked Carol how often")
    stage.call(carol["desk"], {"block": alice["who"]})
    stage.refused(to_carol, "hello")
    stage.refused(to_bob, ("meet again", to_carol))
    bobs.asks(met, "still there")
    stage.call(carol["desk"], {"block": bob["who"]})
    bobs.is_refused(met, "and now")
    carols.hears("still there")


def a_parcel_is_for_one_party_and_from_one_party(stage: Stage) -> None:
    """Who carries it cannot open it, and nobody is blamed for what another has given."""
    alice, bob, carol = _party(stage, "alice"), _party(stage, "bob", THERE), _party(stage, "carol")
    target = stage.party()
    parcel = stage.cap(carol["desk"], {"offer": target.ear, "to": bob["who"]})
    stage.refused(alice["desk"], {"accept": parcel, "from": carol["who"]})
    stage.refused(bob["desk"], {"accept": parcel, "from": alice["who"]})
    stage.refused(parcel, "open")
    proxy = stage.cap(bob["desk"], {"accept": parcel, "from": carol["who"]})
    stage.same(stage.call(proxy, "hello"), "ok", "the answer")
    target.answers(target.ear)
    stage.refused(proxy, "give me more")
    target.hears("hello", "give me more")


def _party(stage: Stage, name: str, place: str = HERE) -> Desk:
    return stage.pattern({"name": name}, place)


def _access(stage: Stage, giver: Desk, cap: Capability, taker: Desk) -> Capability:
    parcel = stage.cap(giver["desk"], {"offer": cap, "to": taker["who"]})
    return stage.cap(taker["desk"], {"accept": parcel, "from": giver["who"]})


def _log(stage: Stage, party: Desk) -> dict[object, object]:
    rows = stage.call(party["desk"], "log")
    assert isinstance(rows, tuple)
    return {stage.call(row["who"]): row["asks"] for row in rows}
