"""Apples moved from orchard to orchard; each orchard notes whatever should never happen."""

from dataclasses import replace

from avm import Capability, Event, Failed, Map, Me, Message, Refused, Send, Step, record


@record
class Orchard:
    me: Me
    number: int
    apples: tuple[int, ...] = ()
    peers: tuple[Capability, ...] = ()
    sent: int = 0
    given: Map[int, int] = Map()
    on_the_way: Map[int, int] = Map()
    timers: Map[int, int] = Map()
    timers_set: int = 0
    timers_fired: int = 0
    last: Map[int, int] = Map()
    answered: int = 0
    restarts: int = 0
    wrong: tuple[str, ...] = ()


@record
class Take:
    number: int


@record
class Moved:
    number: int
    apple: int


@record
class Tick:
    number: int
    peer: int


def init(message: Message, me: Me) -> Step[Orchard]:
    number = message.content
    assert isinstance(number, int)
    names = {name: me(name) for name in ("peers", "put", "move", "report")}
    return message.answer({**names, "take": me(Take(number))}), Orchard(me, number)


def step(message: Message, state: Orchard) -> Step[Orchard]:
    match message.context, message.content:
        case "peers", tuple(peers):
            return [], replace(state, peers=peers)
        case "put", tuple(apples):
            return [], replace(state, apples=state.apples + apples)
        case "move", (int(client), int(n), int(peer), float(after_s), ear):
            return moved(message, state, client, n, peer, after_s, ear)
        case Take(_), (int(sender), int(number), int(apple), int(hops)):
            return taken(message, state, sender, number, apple, hops)
        case Moved(number, apple), outcome:
            return settled(state, number, apple, outcome)
        case Tick(number, peer), None:
            return fired(state, number, peer)
        case "report", None:
            return message.answer(report(state)), state
    raise Refused("what")


def signal(event: Event, state: Orchard) -> Step[Orchard]:
    if event.name == "restarted":
        return [], replace(state, restarts=state.restarts + 1)
    return [], state


def report(state: Orchard) -> dict[str, object]:
    return {
        "apples": state.apples,
        "busy": len(state.on_the_way) + len(state.timers),
        "wrong": state.wrong,
        "last": state.last,
        "timers": (state.timers_set, state.timers_fired),
        "sent": state.sent,
        "answered": state.answered,
    }


def noted(state: Orchard, what: str) -> Orchard:
    return replace(state, wrong=(*state.wrong, what))


def moved(
    message: Message, state: Orchard, client: int, n: int, peer: int, after_s: float, ear: object
) -> Step[Orchard]:
    before = state.last.get(client, 0)
    if before != n - 1:
        state = noted(state, f"client {client}: {n} after {before}")
    state = replace(state, last=state.last.put(client, n))
    sends = message.answer(n)
    if isinstance(ear, Capability):
        sends.append(Send(ear, (state.number, n)))
    if after_s:
        number = state.timers_set + 1
        timers = state.timers.put(number, peer)
        sends.append(Send(state.me(Tick(number, peer)), None, after_s=after_s))
        return sends, replace(state, timers_set=number, timers=timers)
    more, state = given(state, peer, n % 4)
    return [*sends, *more], state


def given(state: Orchard, peer: int, hops: int) -> tuple[list[Send], Orchard]:
    if not state.apples or not state.peers:
        return [], state
    apple, rest = state.apples[0], state.apples[1:]
    peer %= len(state.peers)
    sent, number = state.sent + 1, state.given.get(peer, 0) + 1
    send = Send(
        state.peers[peer],
        (state.number, number, apple, hops),
        reply=state.me(Moved(sent, apple)),
    )
    return [send], replace(
        state,
        apples=rest,
        sent=sent,
        given=state.given.put(peer, number),
        on_the_way=state.on_the_way.put(sent, apple),
    )


def taken(
    message: Message, state: Orchard, sender: int, number: int, apple: int, hops: int
) -> Step[Orchard]:
    place = 1000 + sender
    before = state.last.get(place, 0)
    if before != number - 1:
        state = noted(state, f"orchard {sender}: {number} after {before}")
    if apple in state.apples:
        state = noted(state, f"apple {apple} twice")
    state = replace(state, last=state.last.put(place, number), apples=(*state.apples, apple))
    sends = message.answer("thanks")
    if hops:
        more, state = given(state, sender + hops, hops - 1)
        sends.extend(more)
    return sends, state


def settled(state: Orchard, number: int, apple: int, outcome: object) -> Step[Orchard]:
    if state.on_the_way.get(number) != apple:
        return [], noted(state, f"a second outcome of {number}: {outcome}")
    state = replace(state, on_the_way=state.on_the_way.drop(number), answered=state.answered + 1)
    if isinstance(outcome, Failed):
        return [], noted(state, f"{number} failed: {outcome.why} {outcome.detail}")
    return [], state


def fired(state: Orchard, number: int, peer: int) -> Step[Orchard]:
    if number not in state.timers:
        return [], noted(state, f"timer {number} fired twice")
    state = replace(state, timers=state.timers.drop(number), timers_fired=state.timers_fired + 1)
    return given(state, peer, 0)
