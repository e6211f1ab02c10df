"""The seeded faults: what is changed, and the test that is known to catch it."""

from typing import NamedTuple


class Fault(NamedTuple):
    """A fault: in `file` the text `old` becomes `new`; `caught_by` must then fail."""

    name: str
    file: str
    old: str
    new: str
    caught_by: str
    # So long its test is waited for: one that does not end has caught it.
    patience_s: float = 20.0


ROWS = "tests/sim/test_rows.py"
APPLES = "tests/sim/test_apples.py"
UNITS = "tests/avm/test_host_units.py"
LIVES = "tests/sim/test_lives.py"
ONCE = "tests/sim/test_regressions.py"
AGAIN = "tests/avm/test_again.py"
SPANS = "tests/avm/test_spans.py"
PEERS = "tests/sim/test_peers.py"
BETWEEN = "tests/sim/test_between_hosts.py"
NODE = "tests/dht/test_node.py"
MOVING = "tests/sim/test_moving.py"
MOVES = "tests/sim/test_moves.py"
WORLDS = "tests/sim/test_campaign.py"
MEANWHILE = "tests/sim/test_moving_meanwhile.py"
PASSAGE = "tests/avm/test_passage.py"
DECIDING = "tests/sim/test_deciding.py"
ENDING = "tests/sim/test_ending.py"
PUBLISHING = "tests/dht/test_publishing.py"
RESETS = "tests/link/test_resets.py"
NAT = "tests/nat/test_traversal.py"

FAULTS = [
    Fault(
        "acknowledge before commit",
        "avm/host/outbox.py",
        "    host.group.after.append(Verdict(client.address, batch.receiver, batch.seq, verdict))",
        "    host.effects.append(Verdict(client.address, batch.receiver, batch.seq, verdict))",
        f"{APPLES}::test_an_acknowledged_batch_is_in_the_store",
    ),
    Fault(
        "output before commit",
        "avm/host/outbox.py",
        "        host.group.after.append(Deliver(client.address, batch))\n",
        "        host.effects.append(Deliver(client.address, batch))\n",
        f"{APPLES}::test_no_output_without_its_committed_record",
    ),
    Fault(
        "unfolded turn delivered locally",
        "avm/host/fold.py",
        "        except (Unfit, ContextTooLarge, BadReference) as error:\n",
        "        except (Unfit, ContextTooLarge, BadReference) as error:\n"
        "            for said in answer[2]:\n"
        "                early = plan_sends(host, flight, [said[:1]])\n"
        "                carry_out(host, machine, early, flight.now_ms)\n",
        f"{ROWS}::test_a_turn_with_one_unfit_send_sends_nothing",
    ),
    Fault(
        "slot numbers reused",
        "avm/host/refer.py",
        "        machine.next_slot += 1\n",
        "        machine.next_slot = len(machine.slots)\n",
        f"{ROWS}::test_slot_numbers_are_never_used_again",
    ),
    Fault(
        "digest over sealed bytes",
        "avm/host/fold.py",
        "    output = flight.output\n",
        "    output = flight.output + b''.join(\n"
        "        host.keys(cap.address).seal(b'x' + cap.context, generation=0, priority=0, kind=0,\n"
        "                                    expires_ms=None).sealed\n"
        "        for cap in flight.fresh if type(cap).__name__ == 'Local')\n",
        f"{ROWS}::test_t01_local_traffic_needs_no_cryptography",
    ),
    Fault(
        "expiry before deduplication",
        "avm/host/clients.py",
        "    if seq != channel.received + 1:\n",
        "    if deadline_ms <= host.now_ms:\n"
        "        late = Verdict(client.address, receiver, seq, ['undelivered'])\n"
        "        host.group.after.append(late)\n"
        "        return\n"
        "    if seq != channel.received + 1:\n",
        f"{ROWS}::test_a_late_offer_of_what_was_taken_is_answered_as_before",
    ),
    Fault(
        "unfair queue",
        "avm/host/scheduler.py",
        "        clock = max(self._clocks.get(batch.sender, 0.0), self._clock)\n",
        "        clock = float(self._count * 1000)\n",
        f"{UNITS}::test_w07_a_slow_sender_waits_for_one_batch_of_each_other",
    ),
    Fault(
        "client resend without mark",
        "avm/host/sender.py",
        "        self.sent = max(self.sent, taken)\n",
        "        again = enumerate(self.waiting.values(), taken + 1)\n"
        "        self.waiting = dict(again)\n"
        "        self.sent = taken + len(self.waiting)\n",
        f"{APPLES}::test_c02_tokens_are_conserved_under_crashes",
    ),
    Fault(
        "a second reply is taken",
        "avm/host/outbox.py",
        "        ask = client.asks.pop(said.to.ask, None)\n",
        "        ask = client.asks.get(said.to.ask)\n",
        f"{ROWS}::test_s01_a_second_reply_is_inert_and_counted",
    ),
    Fault(
        "a failed batch keeps what its first messages did",
        "avm/machine/turn.py",
        "        return Taken(REFUSED, [], state, False, len(taken.sends), _cut(no.word, "
        "limits.word_bytes))",
        "        return Taken(APPLIED, taken.sends, taken.state, True)",
        f"{ROWS}::test_a_refused_batch_undoes_its_first_messages",
    ),
    Fault(
        "a row that is stored is dropped from the commit instead of deleted",
        "avm/host/outbox.py",
        "    if row in host.group.new:\n",
        "    if isinstance(dirty.get(row), Batch):\n",
        f"{APPLES}::test_c02_tokens_are_conserved_under_crashes",
    ),
    Fault(
        "failed and read-only turns intern",
        "avm/host/fold.py",
        "    if changed and flight.fresh:\n",
        "    if flight.fresh:\n",
        f"{ROWS}::test_failed_and_read_only_turns_intern_nothing",
    ),
    Fault(
        "a timer fires twice",
        "avm/host/plan.py",
        "    set_timer(host, machine, key, None)\n    plan = Plan()\n",
        "    plan = Plan()\n",
        f"{ROWS}::test_p06_a_timer_fires_once_over_restarts_and_suspension",
    ),
    Fault(
        "what is in flight is put back in the wrong order",
        "avm/host/dispatch.py",
        "        flight = flights.pop()\n        flight.dropped = True\n",
        "        flight = flights.popleft()\n        flight.dropped = True\n",
        f"{APPLES}::test_c02_tokens_are_conserved_under_crashes",
    ),
    Fault(
        "mark and state in two transactions",
        "avm/host/core.py",
        "        for key, thing in group.dirty.items():\n",
        "        marks = [key for key in group.dirty if key[0] == 'channel']\n"
        "        if len(marks) < len(group.dirty):\n"
        "            host.group.dirty.update({key: group.dirty.pop(key) for key in marks})\n"
        "        for key, thing in group.dirty.items():\n",
        f"{APPLES}::test_c02_tokens_are_conserved_under_crashes",
    ),
    Fault(
        "a client's Failed passes for the host's",
        "avm/machine/live.py",
        "            if type(content) is Failed and not from_host:\n",
        "            if False:\n",
        f"{ROWS}::test_a_client_cannot_imitate_the_host",
    ),
    Fault(
        "what was sealed through another part opens",
        "caps/slots.py",
        "            if order_of(context[0]) != order_of(outer):\n",
        "            if False:\n",
        "tests/caps/test_slots.py",
    ),
    Fault(
        "a journal entry does not name the one before",
        "avm/host/journal.py",
        "    return cbor2.dumps([form, before, *fields])\n",
        "    return cbor2.dumps([form, b'', *fields])\n",
        f"{APPLES}::test_c02_tokens_are_conserved_under_crashes",
    ),
    Fault(
        "each loading forgives the deaths before",
        "avm/host/dispatch.py",
        "            if type(flight.act) is not Loading:\n                machine.act_deaths = 0\n",
        "            machine.act_deaths = 0\n",
        f"{ONCE}::test_a_signal_that_never_ends_is_given_up",
    ),
    Fault(
        "what is in flight at a suspension is not made durable",
        "avm/host/fold.py",
        "        for batch in (*flying, *(machine.queue or ())):\n",
        "        for batch in machine.queue or ():\n",
        f"{ONCE}::test_a_batch_in_flight_at_a_suspension_is_kept_like_those_behind_it",
    ),
    Fault(
        "a deadline is lost with the worker",
        "avm/host/dispatch.py",
        "                host.deadlines.put(place, batch.deadline_ms)\n",
        "                host.deadlines.drop(place)\n",
        f"{ONCE}::test_a_deadline_that_came_while_a_worker_had_the_batch_is_noticed",
    ),
    Fault(
        "the host's word is failed by a machine that fails what comes",
        "avm/host/outbox.py",
        "if fails and batch.sender != host.address else",
        "if fails else",
        f"{ONCE}::test_a_suspended_machine_that_fails_what_comes_still_hears_its_outcomes",
    ),
    Fault(
        "what a machine does not take has no entry",
        "avm/host/outbox.py",
        "    append(host, machine, journal.VOID, *fields)\n",
        "    if not why:\n        append(host, machine, journal.VOID, *fields)\n",
        f"{ROWS}::test_w12_each_batch_that_a_machine_does_not_take_has_an_entry",
    ),
    Fault(
        "a removed machine leaves its slots in the store",
        "avm/host/operate.py",
        '    for number in machine.slots or ():\n        dirty[("slot", machine.id, number)] = None\n',
        "",
        f"{LIVES}::test_lives_of_a_host",
    ),
    Fault(
        "an answered ask stays in the store",
        "avm/host/fold.py",
        '            host.group.dirty[("ask", machine.id, number)] = None\n',
        "",
        f"{LIVES}::test_lives_of_a_host",
    ),
    Fault(
        "the two runs of a span are not compared",
        "avm/past/again.py",
        "            if state.digest != every.digest:\n",
        "            if state.n != every.n:\n",
        f"{AGAIN}::test_w01_a_state_that_is_changed_and_returned_as_it_was_is_found_with_its_turn",
    ),
    Fault(
        "a span is run again in one part",
        "avm/past/again.py",
        "            end = min(at + max(1, at - begin), stop)\n",
        "            end = stop\n",
        f"{AGAIN}::test_w01_a_variable_of_the_module_is_found_where_an_answer_shows_it",
    ),
    Fault(
        "spans are run again under the workers' own hash seed",
        "avm/past/rerunner.py",
        "    return seed, seed + 1\n",
        "    return 0, 0\n",
        f"{AGAIN}::test_w01_no_two_runs_are_under_one_hash_seed_nor_under_the_workers",
    ),
    Fault(
        "a limit of this configuration counts as a difference",
        "avm/past/again.py",
        "any(one in was + why for one in LIMITS)",
        "False",
        f"{AGAIN}::test_w01_a_limit_that_was_another_gives_no_verdict",
    ),
    Fault(
        "a constant that was stored counts as another state",
        "avm/past/rerun.py",
        "if entry.form in FROM_STEP and _sends_alike(entry, given, answer):",
        "if False:",
        f"{AGAIN}::test_w01_a_step_that_returns_constants_as_its_state_agrees_though_the_host_crashes",
    ),
    Fault(
        "what replay came to is not held against the state of a restart",
        "avm/past/replaying.py",
        "    if digest_of(*was) == digest_of(*now):\n",
        "    if now:\n",
        "tests/avm/test_rerun.py"
        "::test_p03_a_turn_that_changes_the_state_and_was_recorded_to_keep_it_differs",
    ),
    Fault(
        "a span that is not committed is run again",
        "avm/host/doubt.py",
        "    while spans.chosen and spans.chosen[0].group <= host.committed:\n",
        "    while spans.chosen:\n",
        f"{SPANS}::test_w01_a_span_that_is_not_committed_yet_waits",
    ),
    Fault(
        "a machine that differs goes on",
        "avm/host/doubt.py",
        "            suspend(host, machine, Mode.HOLD, self.why)\n",
        "",
        f"{SPANS}::test_w01_a_difference_suspends_the_machine_in_a_commit_that_says_why",
    ),
    Fault(
        "the first message is named for whichever ended a worker",
        "avm/host/dispatch.py",
        "    _come_to(flight, flight.batch, frame[3])\n",
        "",
        f"{ONCE}::test_c06_a_batch_that_ends_its_worker_names_the_message",
    ),
    Fault(
        "a state may be as large as it likes",
        "avm/machine/turn.py",
        "    if size > limits.state_bytes:\n",
        "    if False:\n",
        "tests/avm/test_turn.py::test_a_turn_that_makes_the_state_too_large_is_rejected_and_says_so",
    ),
    Fault(
        "what stood in a map before still weighs",
        "caps/tree.py",
        "made.weight = leaf.weight - weight_of(old) + weight_of(value)",
        "made.weight = leaf.weight + weight_of(value)",
        "tests/caps/test_weight.py::test_the_weight_of_a_map_follows_each_put_and_drop",
    ),
    Fault(
        "a peer is told again what it knows",
        "avm/host/peering.py",
        "_say(host, link, Want(known.heard))",
        "_say(host, link, Want(0))",
        f"{PEERS}::test_s09_the_second_exchange_sends_only_changes",
    ),
    Fault(
        "all is told with each change",
        "avm/host/roster.py",
        "if one.changed > since and",
        "if",
        f"{PEERS}::test_s09_the_second_exchange_sends_only_changes",
    ),
    Fault(
        "the roster is not read at the start",
        "avm/host/rows.py",
        'if key == "peers":',
        "if not key:",
        f"{PEERS}::test_s10_a_restart_links_those_known_before_without_a_bootstrap",
    ),
    Fault(
        "the best peer is given up",
        "avm/host/roster.py",
        "return min(scored)[1] if scored else None",
        "return max(scored)[1] if scored else None",
        f"{PEERS}::test_t06_when_a_better_peer_returns_the_worst_goes",
    ),
    Fault(
        "a busy link is given up",
        "avm/host/peering.py",
        "if link.number not in busy]",
        "]",
        f"{PEERS}::test_t06_a_link_with_a_batch_on_its_way_is_not_given_up",
    ),
    Fault(
        "a host that is not there is tried again at once",
        "avm/host/roster.py",
        "RETRY_MS << min(self.tries, RETRY_DOUBLINGS)",
        "RETRY_MS",
        f"{PEERS}::test_t06_a_host_that_is_not_there_is_tried_later_each_time",
    ),
    Fault(
        "a banned host may link",
        "avm/host/peering.py",
        "    if known is not None and known.banned:\n",
        "    if False:\n",
        f"{PEERS}::test_t08_dial_drop_ban_and_unban_take_effect_at_once",
    ),
    Fault(
        "a banned host is dialed",
        "avm/host/links.py",
        " or host.roster.is_banned(peer.address)",
        "",
        f"{PEERS}::test_t08_what_is_sent_to_a_banned_host_waits_for_the_end_of_the_ban",
    ),
    Fault(
        "a stranger may tell of as many as it likes",
        "avm/host/roster.py",
        "room = limits.peers_told - len(hints)",
        "room = limits.peers",
        f"{PEERS}::test_what_a_stranger_says_of_others_is_a_hint_and_bounded",
    ),
    Fault(
        "a batch is offered to another host before it is committed",
        "avm/host/away.py",
        "    host.group.away.append(batch)\n",
        "    host.group.away.append(batch)\n    leave(host, [batch])\n",
        f"{BETWEEN}::test_nothing_is_offered_to_another_host_before_it_is_committed",
    ),
    Fault(
        "a certificate for any host is taken from any other",
        "avm/host/links.py",
        "    if shown is None or not shown.is_for(link.peer, link.key):\n",
        "    if shown is None:\n",
        f"{BETWEEN}::test_a_host_that_speaks_for_anothers_machine_is_told_no_more_than_that_nobody_lives_here",
    ),
    Fault(
        "an older incarnation is heard",
        "avm/host/arrivals.py",
        "incarnation is not None and incarnation < channel.epoch",
        "incarnation is None",
        f"{BETWEEN}::test_a_host_that_speaks_under_an_older_incarnation_is_not_heard",
    ),
    Fault(
        "two versions of one number are taken",
        "avm/host/arrivals.py",
        "    if header.before != incoming.digest and not (first and incoming.digest == NO_DIGEST):\n",
        "    if False:\n",
        f"{BETWEEN}::test_c08_two_versions_of_one_number_are_frozen_and_the_second_is_not_taken",
    ),
    Fault(
        "a mark below what was taken is believed",
        "avm/host/verdicts.py",
        "    if mark.taken < channel.taken:\n        return BACK_THERE\n",
        "    if mark.taken < channel.taken:\n        return ''\n",
        f"{BETWEEN}::test_c08_a_receiver_that_went_back_in_time_is_noticed_and_frozen",
    ),
    Fault(
        "undelivered is told of what was offered",
        "avm/host/verdicts.py",
        "        if batch.seq > outgoing.offered:\n",
        "        if batch.seq > 0:\n",
        f"{BETWEEN}::test_w28_unknown_when_the_other_host_is_gone_with_what_was_offered",
    ),
    Fault(
        "the room at the other host is ignored",
        "avm/host/away.py",
        "    return outgoing.next <= min(outgoing.durable, outgoing.room)\n",
        "    return outgoing.next <= outgoing.durable\n",
        f"{BETWEEN}::test_s05_a_stalled_machine_stops_its_senders_only",
    ),
    Fault(
        "a stranger leaves a channel behind",
        "avm/host/arrivals.py",
        "    if known is None and messages and all(said.to == INVALID for said in messages):\n",
        "    if False:\n",
        f"{BETWEEN}::test_first_contact_without_a_valid_capability_leaves_nothing_and_begins_anew",
    ),
    Fault(
        "verdicts out of order are taken",
        "avm/host/verdicts.py",
        "    if frame.seq != channel.taken + 1 or frame.seq > outgoing.offered:\n",
        "    if frame.seq > outgoing.offered:\n",
        f"{BETWEEN}::test_verdicts_count_in_the_order_of_the_channel_and_of_what_was_offered",
    ),
    Fault(
        "a verdict of what was never offered is believed",
        "avm/host/verdicts.py",
        "    if frame.seq != channel.taken + 1 or frame.seq > outgoing.offered:\n",
        "    if frame.seq != channel.taken + 1:\n",
        f"{BETWEEN}::test_a_verdict_of_what_was_never_offered_is_not_believed",
    ),
    Fault(
        "a client's batches for other hosts are taken without bound",
        "avm/host/clients.py",
        "    laden = waiting and client.outbox_bytes > limits.outbox_bytes\n",
        "    laden = False\n",
        f"{BETWEEN}::test_s05_a_client_whose_batches_find_no_room_elsewhere_is_told_busy",
    ),
    Fault(
        "a node whose first datagram is lost stays outside",
        "dht/node.py",
        "        if len(self.table) or not (self._joining.endpoints or self.table.lost):\n",
        "        if True:\n",
        f"{NODE}::test_a_node_whose_first_datagrams_are_lost_is_in_the_network_soon",
    ),
    Fault(
        "a stranger is asked only where its datagrams come from",
        "dht/upkeep.py",
        "            if is_first and asked is not None and asked.id == record.id:\n",
        "            if False:\n",
        f"{NODE}::test_a_stranger_that_answers_from_elsewhere_is_asked_once_where_it_says_it_is",
    ),
    Fault(
        "silence is remembered as a miss",
        "dht/locating.py",
        "        if not records and any(entry.answered_ms is not None for entry in lookup.asked.values()):\n",
        "        if not records:\n",
        f"{NODE}::test_where_nobody_answered_no_miss_is_remembered",
    ),
    Fault(
        "a client that comes back hears the newest first",
        "avm/host/clients.py",
        "    _drop_deliveries(host, address)\n    for",
        "    for",
        f"{ONCE}::test_a_client_that_comes_back_hears_what_it_missed_before_what_is_not_committed_yet",
    ),
    Fault(
        "a machine is said to have left before its end is committed",
        "avm/host/parting.py",
        "        say_passage_after(host, link, Ready(left.address, left.incarnation, left.name_there))\n",
        "        from avm.host.links import say_passage\n\n"
        "        say_passage(host, link, Ready(left.address, left.incarnation, left.name_there))\n",
        f"{WORLDS}::test_p05_a_world_holds_whatever_goes_wrong_in_it[13]",
    ),
    Fault(
        "a machine is said to have landed before it is committed",
        "avm/host/landing.py",
        "            say_passage_after(host, link, Landed(address, incarnation, *shown))\n",
        "            say_passage(host, link, Landed(address, incarnation, *shown))\n",
        f"{MOVING}::test_c01_a_move_is_all_or_nothing_at_every_step_at_which_a_host_crashes[new-host-noticed]",
    ),
    Fault(
        "marks stay behind when a machine moves",
        "avm/host/adopt.py",
        "        channel.taken = channel.received = taken\n",
        "        channel.taken = channel.received = 0\n",
        f"{MOVING}::test_a_machine_moves_there_and_back_under_new_incarnations",
    ),
    Fault(
        "a history is taken as it comes",
        "avm/host/history.py",
        "        if why or (landing.chain is not None and entry.before != landing.chain):\n",
        "        if why:\n",
        f"{MOVING}::test_p08_a_machine_whose_history_is_a_lie_is_not_taken_up[an entry changed]",
    ),
    Fault(
        "any host's machines may come",
        "avm/host/landing.py",
        "    if not host.roster.is_trusted(peer):\n",
        "    if host.roster.is_banned(peer):\n",
        f"{MOVING}::test_a_machine_does_not_move_where_it_may_not",
    ),
    Fault(
        "an old certificate redirects",
        "avm/host/moving.py",
        "    if proof is None or place is None or proof[1] <= newest or proof[0] == host.address:\n",
        "    if proof is None or place is None or proof[0] == host.address:\n",
        f"{MOVING}::test_a_certificate_that_is_no_newer_redirects_nobody",
    ),
    Fault(
        "capabilities to a machine that left stay unsealed",
        "avm/host/parting.py",
        "    recast(host, sealing(host, address))\n",
        "",
        f"{MOVING}::test_a_capability_that_comes_again_after_a_move_is_the_one_that_is_held",
    ),
    Fault(
        "a moved machine seals under its old secret",
        "caps/sealing.py",
        "            secret = next(one for since, one in reversed(self._secrets) if since <= generation)\n",
        "            secret = self._secrets[0][1]\n",
        f"{PASSAGE}::test_what_a_machine_seals_after_a_move_its_old_host_cannot_open_or_forge",
    ),
    Fault(
        "an old host takes what is sent to a machine that left",
        "avm/host/parting.py",
        "    close_channels(host, address)\n",
        "",
        f"{MOVES}::test_c02_tokens_are_conserved_though_machines_move[0]",
    ),
    Fault(
        "an accepted channel uses message ids again",
        "avm/host/deciding.py",
        "    channel.sent_ordinal = max(channel.sent_ordinal, taken * COUNT_MAX)\n",
        "",
        f"{DECIDING}::test_c08_a_sender_that_went_back_goes_on_where_its_operator_accepts",
    ),
    Fault(
        "another batch under a held number passes for the one that is held",
        "avm/host/arrivals.py",
        "        if _is_another(host",
        "        if False and _is_another(host",
        f"{DECIDING}::test_c08_another_batch_under_a_number_that_is_held_is_noticed_before_its_verdict_is_told",
    ),
    Fault(
        "what is held over a restart is forgotten in the chain",
        "avm/host/arrivals.py",
        '    return b"" if last is None else last.digest\n',
        '    return b""\n',
        f"{DECIDING}::test_what_is_held_for_a_suspended_machine_over_a_crash_does_not_freeze_its_channel",
    ),
    Fault(
        "an end is told and not kept",
        "avm/host/ending.py",
        "    host.group.dirty[row_of(pair)] = ending\n    while",
        "    while",
        f"{ENDING}::test_what_ended_while_the_hosts_were_apart_is_told_at_the_next_link",
    ),
    Fault(
        "a client of the same name does not wait for the end of the one before",
        "avm/host/away.py",
        "    if proof is None or holds_back(host, link, pair):\n",
        "    if proof is None:\n",
        f"{ENDING}::test_a_client_of_the_same_name_begins_anew_behind_the_end_of_the_one_before",
    ),
    Fault(
        "announcing knows no rate",
        "dht/pace.py",
        "        if now_ms < self.next_ms():\n            return False\n",
        "",
        f"{PUBLISHING}::test_no_second_sees_more_than_the_burst_and_the_rate",
    ),
    Fault(
        "what changed waits behind the rest",
        "dht/publishing.py",
        "        for queue in (self._now, self._soon):\n",
        "        for queue in (self._soon, self._now):\n",
        f"{PUBLISHING}::test_what_changed_goes_before_thousands_that_wait",
    ),
    Fault(
        "a reset counts wherever it comes from",
        "avm/link/quic.py",
        "        for carrier in self._at_address.get(address, ()):\n",
        "        for carrier in self._carriers:\n",
        f"{RESETS}::test_the_token_ends_no_link_from_another_address",
    ),
    Fault(
        "an introducer leads a host into its own network",
        "avm/nat/seats.py",
        " and (is_local(by) or not is_local(endpoint))",
        "",
        f"{NAT}::test_s08_an_introducer_far_off_names_nobody_near",
    ),
    Fault(
        "a relay has no rate",
        "avm/nat/relay.py",
        "        if not session.bytes.take(now_s, len(packet.packet)):\n",
        "        if False:\n",
        f"{NAT}::test_s08_a_relay_passes_on_no_more_than_its_rate",
    ),
    Fault(
        "a host whose router has another IP does nothing",
        "avm/nat/traversal.py",
        "                    self._moved(now_s)\n",
        "                    pass\n",
        f"{NAT}::test_s08_a_router_with_another_ip_makes_its_hosts_meet_anew",
    ),
    Fault(
        "a relayed link stays beside the better one",
        "avm/nat/traversal.py",
        "                self._out.append(Retire(seat.number))\n",
        "                pass\n",
        f"{NAT}::test_s08_a_relayed_link_becomes_a_punched_one_when_the_way_is_free",
    ),
    Fault(
        "an echo of a ping passes for the other end",
        "avm/nat/meetings.py",
        "        if met is None or punch.asked == met.asked:\n",
        "        if met is None:\n",
        f"{NAT}::test_s08_a_host_takes_no_echo_of_its_own_for_an_answer",
    ),
    Fault(
        "one observer who lies hides a host",
        "avm/nat/standing.py",
        "        translated = 2 * sum(one for _, one in self._votes.values()) > len(self._votes)\n",
        "        translated = any(one for _, one in self._votes.values())\n",
        f"{NAT}::test_s08_one_liar_among_three_observers_hides_nobody",
    ),
    Fault(
        "parts of a machine are larger than a link's frames",
        "avm/host/passage.py",
        "PIECE_BYTES = 128 * 1024\n",
        "PIECE_BYTES = 256 * 1024\n",
        f"{MOVING}::test_a_machine_moves_whatever_its_size",
    ),
    Fault(
        "a machine that is taken back has the incarnation of its other copy",
        "avm/host/moving.py",
        "    above = replace(parcel, incarnation=highest + 1)\n",
        "    above = replace(parcel, incarnation=highest)\n",
        f"{MOVING}::test_a_machine_whose_new_host_is_gone_is_taken_back_by_its_operator",
    ),
    Fault(
        "what was refused once is taken up after all",
        "avm/host/landing.py",
        "    if peer_of(host, link.peer).refused.get(frame.address, 0) >= frame.incarnation:\n",
        "    if False:\n",
        f"{MEANWHILE}::test_c01_a_machine_that_was_refused_once_is_not_taken_up_under_that_incarnation",
    ),
]
