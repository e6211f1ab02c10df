"""A ballot box: who holds `vote` puts a vote in, who holds `count` hears how many there are of each.

It does not know who votes, nor how often: each voter has a capability to `vote` that works once.
"""

from dataclasses import replace

from avm import Map, Me, Message, Refused, Step, record


@record
class Ballot:
    votes: Map[str, int]


def init(message: Message, me: Me) -> Step[Ballot]:
    match message.content:
        case {"choices": tuple(choices)} if choices:
            votes = Map({choice: 0 for choice in choices if isinstance(choice, str)})
            return message.answer({"vote": me("vote"), "count": me("count")}), Ballot(votes)
    raise Refused("a ballot takes choices, a list of texts")


def step(message: Message, state: Ballot) -> Step[Ballot]:
    match message.context, message.content:
        case "vote", str(choice) if choice in state.votes:
            votes = state.votes.put(choice, state.votes[choice] + 1)
            return message.answer("counted"), replace(state, votes=votes)
        case "vote", _:
            raise Refused(f"the choices are {', '.join(state.votes)}")
        case "count", None:
            return message.answer(state.votes), state
    raise Refused("count takes null")
