"""Seeded faults in how hosts are looked for, and in what a meeting says of links that are made beside it."""

from tests.mutants.faults import Fault

AWAY = "tests/sim/test_away_for_long.py"
SHELLS = "tests/sim/test_shells.py"
DIALED = "tests/nat/test_met_and_dialed.py"

FAULTS = [
    Fault(
        "a link that the other side of a meeting dials passes for a punched one",
        "avm/nat/meetings.py",
        "        return any(met.asked != dialed for met in held)\n",
        "        return bool(held)\n",
        f"{DIALED}::test_s08_a_host_that_was_met_by_one_that_others_reach_is_introduced_by_it_still",
    ),
    Fault(
        "a way that was punched once is one for long",
        "avm/nat/meetings.py",
        "        met.phase, met.due_s = Phase.OPEN, met.began_s + MEETING_S\n",
        "        met.phase, met.due_s = Phase.OPEN, met.began_s + 10 * MEETING_S\n",
        f"{DIALED}::test_s08_a_way_that_was_punched_says_nothing_of_a_link_made_later",
    ),
    Fault(
        "who is away for days is looked for each few seconds",
        "avm/host/links.py",
        "_BACK_OFFS_MS[min(tries, len(_BACK_OFFS_MS) - 1)]",
        "_BACK_OFFS_MS[min(tries, BACK_OFF_DOUBLINGS)]",
        f"{AWAY}::test_t06_who_is_away_is_looked_for_each_few_seconds_at_first_and_seldom_after_hours",
    ),
    Fault(
        "who is back is waited for as long as it was away",
        "avm/host/hearing.py",
        "        links.seek_soon(host)\n",
        "        pass\n",
        f"{AWAY}::test_t06_a_host_that_is_back_and_links_has_what_waited_for_it_at_once",
    ),
    Fault(
        "a node that knows nobody is told of nobody",
        "dht/node.py",
        "                self._out.append(Alone())\n",
        "                pass\n",
        f"{AWAY}::test_s10_a_node_that_knows_nobody_any_more_enters_by_the_links_of_its_host",
    ),
    Fault(
        "the shell tells a node that knows nobody of nobody",
        "avm/run/network.py",
        "            self.shell.ask(self.ways.traversal.neighbours() + peering.endpoints(self._core.host))\n",
        "            pass\n",
        f"{SHELLS}::test_s10_a_node_that_knows_nobody_any_more_enters_by_the_links_of_its_host",
    ),
    Fault(
        "a record that is not so any more has its machine sought without a pause",
        "avm/host/links.py",
        "        place.seeking = False\n        peer_of",
        "        place.tries, place.seeking = 0, False\n        peer_of",
        f"{AWAY}::test_t06_a_machine_that_is_gone_from_where_the_network_has_it_is_sought_seldom[False]",
    ),
    Fault(
        "who sends to a machine that is removed hears nothing of it",
        "avm/host/operate.py",
        "    close_channels(host, machine.address)\n",
        "",
        f"{AWAY}::test_t06_a_machine_that_is_gone_from_where_the_network_has_it_is_sought_seldom[True]",
    ),
    Fault(
        "who fell silent for a moment is tried in turn with all who did",
        "dht/upkeep.py",
        "            self._silences.begin(now_ms, contact)\n",
        "",
        f"{AWAY}::test_t06_halves_that_were_parted_for_seconds_find_what_was_announced_meanwhile",
    ),
    Fault(
        "what nobody knew is not asked for when others are there again",
        "dht/node.py",
        "            self._locating.forget_misses()\n",
        "",
        f"{AWAY}::test_t06_halves_that_were_parted_for_seconds_find_what_was_announced_meanwhile",
    ),
    Fault(
        "of two announcements of one moment either may be the last",
        "avm/run/announcing.py",
        "                self._shell.announce_host(self._keys.proof, places)\n",
        "                async def later() -> None:\n"
        "                    self._shell.announce_host(self._keys.proof, places)\n\n"
        "                self._start(later)\n",
        f"{SHELLS}::test_s08_of_two_ways_announced_in_one_moment_the_later_one_stands",
    ),
    Fault(
        "who has started again is not told what it kept for others",
        "dht/node.py",
        "        elif self._upkeep.is_few and any(",
        "        elif False and any(",
        "tests/sim/test_found_again.py",
    ),
    Fault(
        "the shell does not say who was linked anew",
        "avm/run/network.py",
        "            self.shell.met(where)\n",
        "            pass\n",
        f"{SHELLS}::test_w18_a_host_that_has_started_again_is_told_what_it_kept_for_others",
    ),
    Fault(
        "one of few that is back is not told what it kept",
        "dht/node.py",
        " or (came is Came.BACK and self._upkeep.is_few):\n",
        ":\n",
        "tests/dht/test_silences.py::test_w18_one_of_few_that_was_silent_and_is_back_is_told_what_it_kept",
    ),
]
