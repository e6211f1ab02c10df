"""Seeded faults of what a test says of authority."""

from tests.mutants.faults import Fault

SAID = "tests/avm/test_testing_authority.py"

FAULTS = [
    Fault(
        "a capability that the state dropped counts as held",
        "avm/testing/holders.py",
        "        return one.place in kept\n",
        "        return True\n",
        f"{SAID}::test_x04_what_was_dropped_is_not_held_and_what_a_timer_keeps_is",
    ),
    Fault(
        "a capability of another host of the world stays sealed",
        "avm/testing/holders.py",
        "                if not isinstance(found, Sealed):\n                    return found\n",
        "                continue\n",
        f"{SAID}::test_x04_a_caretaker_is_the_only_way_until_it_is_revoked",
    ),
    Fault(
        "what came to a client is not held by it",
        "avm/testing/world.py",
        "            self._held.update(dict.fromkeys(encode_content(content)[1]))\n",
        "            continue\n",
        f"{SAID}::test_x04_a_client_holds_what_came_to_it",
    ),
    Fault(
        "what is conserved is looked at once",
        "avm/testing/world.py",
        "            if now != before:\n",
        "            if False:\n",
        f"{SAID}::test_x04_what_is_conserved_is_looked_at_whenever_all_is_settled",
    ),
    Fault(
        "only the last giver is told",
        "avm/testing/holders.py",
        "GIVERS_MAX = 8\n",
        "GIVERS_MAX = 1\n",
        f"{SAID}::test_x04_what_fails_names_who_gave_what_to_whom",
    ),
    Fault(
        "what a client of a network asks has its time counted from the last message",
        "avm/testing/network.py",
        "        self._scene.enter(self._site)\n",
        "",
        "tests/avm/test_testing_authority.py::test_what_is_asked_long_after_the_last_message_has_all_of_its_time",
    ),
]
