"""Seeded faults by which the campaign's finds would come back, and in how it looks."""

from tests.mutants.faults import Fault

WORLDS = "tests/sim/test_campaign.py"
FOUND = "tests/sim/test_campaign_found.py"
ENDING = "tests/sim/test_ending.py"
CAUGHT = "tests/sim/test_campaign.py::test_p05_a_seeded_bug_is_caught"

FAULTS = [
    Fault(
        "a client's ask stays open beside the verdict",
        "avm/host/outbox.py",
        "        close_asks(host, client, batch)\n",
        "",
        f"{FOUND}::test_w28_an_ask_has_one_outcome_though_its_machine_came_to_the_client_and_took_it_not",
    ),
    Fault(
        "what has its deadline behind it takes room in the outbox",
        "avm/host/outbox.py",
        "        bare(host, batch)\n        host.group",
        "        host.group",
        f"{FOUND}::test_s05_machines_that_wait_for_each_others_room_go_on_at_the_deadline",
    ),
    Fault(
        "what a machine left waiting is not held, as what it sends from elsewhere is",
        "avm/host/parting.py",
        "        elif owner.status is Status.SUSPENDED:\n",
        "        elif False:\n",
        "tests/sim/test_moving_meanwhile.py::"
        "test_c02_what_a_machine_left_waiting_is_held_before_what_it_sends_from_its_new_host",
    ),
    Fault(
        "what is voided at once does not count as received",
        "avm/host/outbox.py",
        "    if channel.received <= channel.taken:  # also what never waited: see `void`\n"
        "        channel.received, channel.received_ordinal = channel.taken, channel.taken_ordinal\n",
        "",
        f"{FOUND}::test_w05_a_channel_goes_on_from_elsewhere_after_a_batch_that_was_voided_at_once",
    ),
    Fault(
        "what a host that starts would find is not looked at",
        "avm/sim/invariants.py",
        "            if other := differs(host):\n",
        "            if other := '':\n",
        f"{CAUGHT}[an-answered-ask-stays-in-the-store]",
    ),
    Fault(
        "what a clog has held up goes on as slowly when it is over",
        "avm/sim/faults.py",
        "        wires.look_at_pace(scene)\n",
        "        pass\n",
        "tests/sim/test_world_faults.py"
        "::test_what_a_clog_has_held_up_goes_on_at_once_when_it_is_over",
    ),
    Fault(
        "a sender may be overtaken for ever",
        "avm/sim/fairness.py",
        "OVERTAKEN_MAX = 6\n",
        "OVERTAKEN_MAX = 6_000\n",
        f"{CAUGHT}[unfair-queue]",
    ),
    Fault(
        "a client that has ended is given what was on its way",
        "avm/host/clients.py",
        "    client.waiting.clear()\n    _drop_deliveries(host, client.address)\n",
        "    client.waiting.clear()\n",
        "tests/sim/test_campaign_found.py::test_a_client_that_has_ended_is_given_nothing",
    ),
    Fault(
        "a channel to a client that has ended stays open where nothing had come by it",
        "avm/host/clients.py",
        "{*client.channels, *opened}",
        "client.channels",
        f"{ENDING}::test_s02_nothing_stays_of_a_client_that_ends_as_the_first_answer_is_on_its_way",
    ),
    Fault(
        "a channel stays by which a client that has ended was given nothing",
        "avm/host/outbox.py",
        "    client.channels.add((batch.sender, client.address))\n",
        "",
        f"{ENDING}::test_s02_nothing_stays_of_a_client_that_ends_to_which_nothing_could_be_given",
    ),
    Fault(
        "who only sent to a client is not told that it has ended",
        "avm/host/clients.py",
        "    elif pair[1] == client.address and _is_from_afar(host, channel):\n",
        "    elif False:\n",
        f"{ENDING}::test_s02_a_client_that_was_only_sent_to_ends_and_one_of_its_name_is_sent_to_anew",
    ),
    Fault(
        "the host itself is told that a client has ended to which it had a word",
        "avm/host/clients.py",
        "    return not is_here and bool(channel.digest or has_moved(host, channel.sender))\n",
        "    return not is_here\n",
        f"{ENDING}::test_s02_nobody_is_told_of_a_clients_end_who_only_had_the_hosts_own_word_for_it",
    ),
    Fault(
        "who only sent to a client takes the room of others",
        "avm/host/ending.py",
        "    if not has_sent and len(host.endings) >= host.limits.endings:\n",
        "    if False:\n",
        f"{ENDING}::test_s02_who_only_sent_to_a_client_takes_no_room_from_whom_it_sent_to",
    ),
    Fault(
        "a client's end waits for the next link though there is one",
        "avm/host/ending.py",
        "(there := link or link_to(host, where))",
        "(there := link)",
        f"{ENDING}::"
        "test_s02_a_client_is_sent_to_anew_by_a_machine_that_left_before_the_client_of_before_ended",
    ),
    Fault(
        "half a batch for a client that has ended takes room on its link",
        "avm/host/clients.py",
        "    drop_arriving(host, pair)\n",
        "    host.arriving.pop(pair, None)\n",
        f"{ENDING}::test_s02_a_client_that_ends_amid_what_it_is_told_takes_no_room_on_the_link",
    ),
    Fault(
        "a machine is removed with what other hosts have yet to take",
        "avm/host/operate.py",
        "sum(key[0] == machine.address and bool(one.body) for key, one in outbox)",
        "0",
        "tests/sim/test_campaign_found.py::test_a_machine_is_removed_when_other_hosts_have_taken_what_it_sent",
    ),
    Fault(
        "what a client has not heard goes when its sender comes",
        "avm/host/adopt.py",
        "        _keep_waiting(host, machine, owner)\n",
        "        pass\n",
        f"{WORLDS}::test_w05_what_a_client_has_not_heard_stays_in_the_store_when_its_sender_comes",
    ),
    Fault(
        "a traceback says where the package is",
        "avm/machine/turn.py",
        "frame.filename.removeprefix(ROOT).removeprefix(LIBRARY)",
        "frame.filename.removeprefix(LIBRARY)",
        "tests/avm/test_turn.py::test_p01_a_traceback_is_the_same_wherever_python_and_the_package_are",
    ),
    Fault(
        "an event that was not heard is forgotten when the host dies",
        "avm/host/rows.py",
        '[*machine.untold, "restarted"]',
        '["restarted"]',
        "tests/sim/test_rows.py::test_w19_an_event_is_heard_once_wherever_the_host_dies",
    ),
    Fault(
        "an ask is taken for the one whose number is given again",
        "avm/host/due.py",
        "    if batch is not None and any(reply.ask == ask_number for _, reply in batch.own_replies()):\n",
        "    if batch is not None:\n",
        f"{FOUND}::test_w28_an_ask_has_its_outcome_though_a_removed_machine_has_its_number_given_again",
    ),
    Fault(
        "a client's ask is late while its machine, which came here, takes it",
        "avm/host/due.py",
        "    return is_here and channel is not None and channel.taken < ask.seq\n",
        "    return False\n",
        f"{FOUND}::test_w28_an_ask_is_not_late_while_its_machine_that_came_here_has_not_taken_it",
    ),
    Fault(
        "under which incarnation a machine was met is forgotten when the host dies",
        "avm/host/verdicts.py",
        "        channel.epoch = incarnation\n        host.touch(channel)\n",
        "        channel.epoch = incarnation\n",
        f"{FOUND}::test_c02_under_which_incarnation_a_machine_was_met_outlasts_the_host_that_met_it",
    ),
]
