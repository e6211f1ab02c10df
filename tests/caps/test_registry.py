"""The registry: an offer whose identity is shown is listed when it is checked, and the last word counts."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm import (
    INSPECT,
    Affine,
    Cancel,
    Capability,
    Failed,
    Linear,
    Map,
    Me,
    Message,
    Refused,
    Relevant,
    Send,
    Step,
)
from avm.testing import Network, NoAnswer, World, answer_of, cap, cap_in, me, message
from caps.patterns import registry
from caps.patterns.registry import CHECKS_MAX, OFFERS_MAX, Check, Checked, Offer, Provider, Registry

few = settings(max_examples=40)
Sends = Sequence[Send | Cancel]
PROVIDER = Provider("ann")
OFFER = {"offer": "print", "cap": cap("ann"), "identity": b"shown"}
GOOD = Map({"about": Map({"region": "north"}), "identity": b"shown"})


def told(context: object, content: object, state: Registry, number: int = 1) -> tuple[Sends, Any]:
    """A message to the registry, which is to be answered at its own reply."""
    asked = message(context, content, id=f"m{number}", reply=cap(f"r{number}"))
    return registry.step(asked, state)


def check_in(sends: Sends) -> object:
    """The context that the answer of `inspect~` comes to."""
    (sent,) = [one for one in sends if isinstance(one, Send) and one.to == INSPECT]
    assert sent.reply is not None
    return me().open(sent.reply)


def found(state: Registry, **wanted: object) -> tuple[object, ...]:
    """Who is found, by name."""
    asked = message("find", {"offer": "print", **wanted})
    try:
        sends, _ = registry.step(asked, state)
    except Refused:
        return ()
    answer = answer_of(sends, asked)
    assert isinstance(answer, tuple)
    return tuple(one["by"] for one in answer)


def only(sends: Sends) -> Send:
    (sent,) = sends
    assert isinstance(sent, Send)
    return sent


def test_t05_an_offer_is_not_listed_before_its_identity_is_checked() -> None:
    sends, state = told(PROVIDER, OFFER, Registry(me()))
    sent = only(sends)
    assert sent.to == INSPECT and sent.content == {"cap": cap("ann"), "identity": b"shown"}
    assert found(state) == (), "not before the answer"
    sends, state = told(check_in(sends), GOOD, state)
    assert only(sends).to == cap("r1") and only(sends).content is None
    assert found(state) == ("ann",)
    assert found(state, signed={"region": "north"}) == ("ann",)
    assert found(state, signed={"region": "south"}) == ()
    assert not state.checks


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (Failed("refused", "that is not its identity"), "that is not its identity"),
        (Failed("undelivered", "inspect~ is switched off at this host"), "cannot be checked now"),
        (Failed("late", ""), "cannot be checked now"),
        (Failed("unknown", ""), "cannot be checked now"),
        (Map({"about": None}), "cannot be checked now"),
        (None, "cannot be checked now"),
    ],
    ids=repr,
)
def test_t05_an_offer_that_is_not_found_good_is_refused_and_what_was_listed_stays(
    outcome: object, word: str
) -> None:
    _, state = told(PROVIDER, {"offer": "print", "cap": cap("before")}, Registry(me()), 0)
    sends, after = told(PROVIDER, OFFER, state)
    sends, after = told(check_in(sends), outcome, after)
    said = only(sends)
    assert said.to == cap("r1") and isinstance(said.content, Failed)
    assert said.content.why == "refused" and word in said.content.detail
    assert after == state and found(after) == ("ann",)


def test_t05_who_waits_is_answered_when_the_last_that_is_missing_is_checked() -> None:
    state = Registry(me())
    asked = {"offer": "print", "signed": {"region": "north"}, "wait": True}
    sends, state = told("find", asked, state, 7)
    assert not sends
    for number, name in enumerate(("ann", "bob")):
        signed = Map({"about": Map({"region": "south" if name == "ann" else "north"})})
        sends, state = told(Provider(name), OFFER, state, number)
        assert not [one for one in sends if isinstance(one, Send) and one.to == cap("r7")]
        sends, state = told(check_in(sends), signed, state)
    heard = [one for one in sends if isinstance(one, Send) and one.to == cap("r7")]
    listed = only(heard).content
    assert isinstance(listed, list) and len(listed) == 1
    assert listed[0]["by"] == "bob" and listed[0]["signed"] == {"region": "north"}
    assert not state.seekers


steps = st.lists(
    st.one_of(
        st.sampled_from([("plain",), ("shown",), ("withdraw",)]),
        st.tuples(st.sampled_from(["good", "bad"]), st.integers(0, 5)),
    ),
    max_size=14,
)


@few
@given(steps)
def test_t05_the_last_word_of_a_provider_counts_and_each_is_answered_once(said: list[Any]) -> None:
    state, wanted = Registry(me()), 0
    listed: int | None = None
    open_checks: list[tuple[int, object]] = []
    pending: int | None = None
    answers: dict[int, int] = {}
    for number, (act, *which) in enumerate(said):
        sends: Sends = ()
        match act:
            case "plain":
                content = {"offer": "print", "cap": cap("ann"), "about": {"n": number}}
                sends, state = told(PROVIDER, content, state, number)
                listed, pending, wanted = number, None, wanted + 1
            case "shown":
                content = {**OFFER, "about": {"n": number}}
                sends, state = told(PROVIDER, content, state, number)
                open_checks.append((number, check_in(sends)))
                pending, wanted = number, wanted + 1
            case "withdraw" if listed is not None or pending is not None:
                sends, state = told(PROVIDER, {"withdraw": "print"}, state, number)
                listed, pending, wanted = None, None, wanted + 1
            case "good" | "bad" if which[0] < len(open_checks):
                of, context = open_checks.pop(which[0])
                outcome = GOOD if act == "good" else Failed("refused", "no")
                sends, state = told(context, outcome, state, number)
                if of == pending:
                    listed, pending = (of if act == "good" else listed), None
        for one in sends:
            if isinstance(one, Send) and one.to != INSPECT:
                of = next(n for n in range(len(said)) if one.to == cap(f"r{n}"))
                answers[of] = answers.get(of, 0) + 1
        here = state.offers.get("print", Map()).get("ann")
        assert (None if here is None else here.about["n"]) == listed
        assert set(state.checks) == (set() if pending is None else {f"m{pending}"})
    assert all(count == 1 for count in answers.values())
    assert len(answers) == wanted - (pending is not None)


@few
@given(
    st.decimals(-1000, 1000, allow_nan=False, places=3) | st.integers(-(10**30), 10**30),
    st.integers(-1000, 1000) | st.integers(-(10**30), 10**30) | st.floats(-1000, 1000),
)
def test_t05_signed_text_that_is_a_decimal_number_is_compared_as_one(
    number: Decimal | int, bound: float
) -> None:
    text = str(number) if isinstance(number, int) else f"{number:f}"
    as_one = number if isinstance(number, int) else float(text)
    state = listing({"pages": text})
    assert bool(found(state, signed={"pages": {"least": bound}})) == (as_one >= bound)
    assert bool(found(state, signed={"pages": {"most": bound}})) == (as_one <= bound)
    assert found(state, signed={"pages": text}) == ("ann",)


@pytest.mark.parametrize(
    "text",
    ["", "x", "1e3", "+1", " 1", "1 ", "1\n", ".5", "1.", "0x10", "inf", "nan", "1_0", "\u0661"],
)
def test_t05_signed_text_that_is_no_decimal_number_is_neither_more_nor_less(text: str) -> None:
    state = listing({"pages": text})
    for wanted in ({"least": -1000}, {"most": 1000}):
        assert found(state, signed={"pages": wanted}) == ()
    assert found(state, signed={"pages": text}) == ("ann",)


def test_t05_what_is_not_signed_does_not_fit_and_a_number_is_no_text() -> None:
    state = listing({"pages": "10"})
    assert found(state, signed={}) == ("ann",)
    assert found(state, signed={"region": "north"}) == ()
    assert found(state, signed={"pages": {"least": 10}, "region": {"least": 0}}) == ()
    plain = registry.step(message(PROVIDER, {"offer": "print", "cap": cap("a")}), Registry(me()))[1]
    assert found(plain) == ("ann",) and found(plain, signed={"pages": {"least": 0}}) == ()
    for wrong in (10, None, ("10",), {"about": "10"}, {}):
        with pytest.raises(Refused, match="in signed a value is a text"):
            told("find", {"offer": "print", "signed": {"pages": wrong}}, state)
    with pytest.raises(Refused, match="where and signed are maps"):
        told("find", {"offer": "print", "signed": "north"}, state)


def listing(signed: dict[str, str]) -> Registry:
    """A registry in which an offer stands whose identity says this."""
    sends, state = told(PROVIDER, OFFER, Registry(me()))
    listed: Registry = told(check_in(sends), Map({"about": Map(signed)}), state)[1]
    return listed


def test_t05_so_many_are_checked_at_a_time_and_no_more_are_listed_than_may_be() -> None:
    offer = Offer(cap("ann"), Map(), 1e9)
    check = Check("x", "scan", offer, cap("r"))
    many = Map({f"c{number}": check for number in range(CHECKS_MAX)})
    full = replace(Registry(me()), checks=many)
    with pytest.raises(Refused, match="too many are checked"):
        told(PROVIDER, OFFER, full)
    here = Map({f"p{number}": offer for number in range(OFFERS_MAX - 1)})
    state = replace(Registry(me()), offers=Map({"scan": here}))
    sends, state = told(PROVIDER, OFFER, state)
    for content in (OFFER, {"offer": "print", "cap": cap("bob")}):
        with pytest.raises(Refused, match="the registry is full"):
            told(Provider("bob"), content, state)
    _, state = told(check_in(sends), GOOD, state)
    assert sum(map(len, state.offers.values())) == OFFERS_MAX


def test_t05_what_answers_no_check_changes_nothing() -> None:
    state = Registry(me())
    sends, after = told(Checked("m9"), GOOD, state)
    assert not sends and after is state


# What may not be copied or dropped.

KINDS = {"linear": Linear, "affine": Affine, "relevant": Relevant}


class Printer:
    """Has a capability of each kind, and one of none."""

    @staticmethod
    def init(message: Message, me: Me) -> Step[Me]:
        return message.answer({kind or "plain": me(kind, kind=kind) for kind in ("", *KINDS)}), me

    @staticmethod
    def step(message: Message, state: Me) -> Step[Me]:
        return message.answer(None), state


class Shop:
    """A registry at a simulated host, its providers by name, and two printers, one at the last host."""

    def __init__(self, hosts: int = 1) -> None:
        self.world = World(ground=Network(hosts=hosts))
        self.client = self.world.client(on="host-1")
        self.made = self.world.machine(registry, on="host-1")
        self.printers = [self.world.machine(Printer, on=f"host-{n}") for n in (1, hosts)]
        self.providers: dict[str, Capability] = {}

    def provider(self, name: str) -> Capability:
        """The capability of who was admitted under this name."""
        if name not in self.providers:
            told = self.client.call(self.made.cap("admit"), {"as": name})
            self.providers[name] = cap_in(told)
        return self.providers[name]

    def hears(self, to: Capability, content: object) -> object:
        """What becomes of an ask: the answer, or why there is none."""
        try:
            told = self.client.call(to, content)
        except NoAnswer as failure:
            return str(failure)
        return tuple(one["by"] for one in told) if isinstance(told, tuple) else told

    def finds(self, **wanted: object) -> object:
        """Who is found that prints, by name."""
        return self.hears(self.made.cap("find"), {"offer": "print", **wanted})

    def does(self, act: tuple[Any, ...]) -> object:
        """One thing that is said to the registry, or time that passes."""
        match act:
            case "offer", name, kind, far, for_s:
                cap = self.printers[far].cap(kind or "plain")
                return self.hears(
                    self.provider(name), {"offer": "print", "cap": cap, "for_s": for_s}
                )
            case "about", name, kind, _, for_s:
                about = {"n": KINDS[kind](name) if kind else 1}
                content = {"offer": "print", "cap": self.printers[0].cap("plain")}
                return self.hears(self.provider(name), {**content, "about": about, "for_s": for_s})
            case "find", _, kind, far, _:
                wanted = {"n": KINDS[kind](1)} if kind else {}
                return self.finds(least=far + 1, where=wanted)
            case "withdraw", name, *_:
                return self.hears(self.provider(name), {"withdraw": "print"})
        self.world.advance(30)
        return None


TAKES_NONE = "refused: nothing linear, affine or relevant is taken here"
acts = st.tuples(
    st.sampled_from(["offer", "about", "find", "withdraw", "wait"]),
    st.sampled_from(["ann", "bob"]),
    st.sampled_from(["", "", *KINDS]),
    st.integers(0, 1),
    st.sampled_from([20, 1_000]),
)


@settings(max_examples=25)
@given(st.lists(acts, max_size=8))
def test_t05_what_is_of_a_kind_is_refused_and_all_else_goes_as_if_it_were_not_said(
    said: list[tuple[Any, ...]],
) -> None:
    with_it, without = Shop(), Shop()
    for act in said:
        heard = with_it.does(act)
        if act[0] in ("offer", "about", "find") and act[2]:
            assert heard == TAKES_NONE
        else:
            assert heard == without.does(act)
    assert with_it.finds() == without.finds()
    assert not with_it.made.failures


@pytest.mark.parametrize("far", [0, 1], ids=["here", "far"])
@pytest.mark.parametrize("kind", KINDS)
def test_t05_a_provider_of_something_linear_is_refused_and_others_are_found_still(
    kind: str, far: int
) -> None:
    shop = Shop(1 + far)
    assert shop.does(("offer", "ann", "", 0, 20)) is None
    odd = shop.printers[far].cap(kind)
    identity = shop.world.client(on=f"host-{far + 1}").call(INSPECT, odd)
    assert isinstance(identity, Map)
    for more in ({}, {"identity": identity["identity"]}, {"about": {"n": KINDS[kind](1)}}):
        content = {"offer": "print", "cap": odd, "for_s": 20, **more}
        assert shop.hears(shop.provider("bob"), content) == TAKES_NONE
    for _ in range(2):
        assert shop.finds() == ("ann",)
        assert shop.finds(least=2) == "refused: 1 of 2 are there"
    shop.world.advance(30)
    assert shop.finds() == "refused: 0 of 1 are there"
    assert shop.does(("offer", "bob", "", far, 20)) is None
    assert shop.finds() == ("bob",)
    assert shop.does(("withdraw", "bob")) is None
    assert not shop.made.failures


def test_t05_who_waits_for_something_linear_is_refused_and_keeps_nobody_else_waiting() -> None:
    shop = Shop()
    find = shop.made.cap("find")
    wanted = {"offer": "print", "wait": True}
    waiting = shop.client.ask(find, wanted)
    for wrap in KINDS.values():
        asked = {**wanted, "where": {"n": wrap(1)}}
        assert shop.hears(find, asked) == TAKES_NONE
        assert shop.hears(find, {**asked, "wait": False}) == TAKES_NONE
    assert shop.does(("offer", "ann", "", 0, 20)) is None
    assert cap_in(waiting.answer(), 0, "cap") == shop.printers[0].cap("plain")
    assert not shop.made.state.seekers and not shop.made.failures


@pytest.mark.parametrize("kind", KINDS)
def test_t05_a_reply_of_a_kind_is_not_kept(kind: str) -> None:
    reply = me()("theirs", kind=kind)
    for context, content in ((PROVIDER, OFFER), ("find", {"offer": "print", "wait": True})):
        with pytest.raises(Refused, match="nothing linear"):
            registry.step(message(context, content, reply=reply), Registry(me()))
