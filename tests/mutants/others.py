"""Seeded faults of what an operator is told of other hosts, and of why something waits."""

from tests.mutants.faults import Fault

DELAYS = "tests/sim/test_delays.py"
TWICE = "tests/sim/test_moving_twice.py"
SHOWN = "tests/avm/test_others_shown.py"

FAULTS = [
    Fault(
        "a host that does not answer is told as one that is dialed",
        "avm/host/delays.py",
        "    if link is None and peer is not None and peer.tries:\n",
        "    if False:\n",
        f"{DELAYS}::test_a_host_that_is_gone_is_named_until_it_is_back",
    ),
    Fault(
        "what the other host keeps counts as stuck",
        "avm/host/delays.py",
        '        return Delay(f"{name} has no room for more now", at)\n'
        '    return Delay(f"{name} has not said yet what became of it", at)\n',
        '        return Delay(f"{name} has no room for more now", at)\n'
        '    return Delay(f"{name} has not said yet what became of it", at, True)\n',
        f"{DELAYS}::test_what_the_other_host_keeps_is_not_stuck",
    ),
    Fault(
        "what was withdrawn at its deadline is still owed",
        "avm/host/delays.py",
        " if one.body and not one.digest)",
        " if one.header and not one.digest)",
        f"{DELAYS}::test_what_has_its_time_behind_it_is_owed_to_nobody_and_its_number_stays_in_line",
    ),
    Fault(
        "a frozen channel is told with an act that is refused",
        "avm/cli/channels.py",
        """    if "accept" in channel["acts"]:\n""",
        """    if channel["acts"]:\n""",
        f"{SHOWN}::test_c08_a_frozen_channel_is_told_with_the_one_decision_that_fits",
    ),
    Fault(
        "a command says again and again why it waits",
        "avm/cli/delay.py",
        "        if self.why and self.why != self._told:\n",
        "        if self.why:\n",
        f"{SHOWN}::test_why_nothing_is_taken_is_told_once_for_each_reason",
    ),
    Fault(
        "of a machine that was moved twice at once the other host is said to say that it is gone",
        "avm/host/moving.py",
        "        if machine is None:\n"
        '            refuse(host, asked.request, gone_by(host.moves, address.hex()) or "it is gone")\n',
        "        if machine is None:\n"
        '            refuse(host, asked.request, "the other host says: it is gone")\n',
        f"{TWICE}::test_who_moves_a_machine_that_is_moved_already_is_told_where_to",
    ),
]
