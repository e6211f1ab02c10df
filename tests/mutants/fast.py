"""Seeded faults in what is left alone while it is busy, and in a campaign that goes on."""

from tests.mutants.faults import Fault

BUSY = "tests/sim/test_busy.py"
LEDGER = "tests/sim/test_ledger.py"

FAULTS = [
    Fault(
        "a crowded receiver is offered at one pace for ever",
        "avm/host/verdicts.py",
        "        outgoing.waited_ms = _left_alone_ms(outgoing.waited_ms)\n",
        "        outgoing.waited_ms = BUSY_MS\n",
        f"{BUSY}::test_s05_a_host_offers_to_a_crowded_receiver_ever_less_often",
    ),
    Fault(
        "a receiver that is crowded for hours is offered at one pace",
        "avm/host/verdicts.py",
        "    return min(waited_ms + waited_ms // BUSY_PART, BUSY_MS_MAX)\n",
        "    return BUSY_DOUBLED_MS\n",
        f"{BUSY}::test_s05_a_host_offers_seldom_to_a_receiver_that_is_crowded_for_hours",
    ),
    Fault(
        "a large batch is gathered though nobody has room for it",
        "avm/host/arrivals.py",
        "host.limits.link_bytes or _is_busy(host, *pair):\n",
        "host.limits.link_bytes:\n",
        f"{BUSY}::test_s05_of_a_large_batch_nothing_is_kept_where_nobody_has_room_for_it",
    ),
    Fault(
        "a simulated client that is told of room offers all that waits",
        "avm/sim/client.py",
        "        end = min(first + FOR_A_VERDICT, self.senders[receiver].sent + 1)\n",
        "        end = self.senders[receiver].sent + 1\n",
        f"{BUSY}::test_a_simulated_client_offers_no_more_for_a_verdict_than_it_may",
    ),
    Fault(
        "a ledger of other code is gone on with",
        "tests/sim/campaign/ledger.py",
        "        if code != self._code:\n",
        "        if not code:\n",
        f"{LEDGER}::test_a_ledger_of_something_else_is_refused_and_not_changed",
    ),
    Fault(
        "half a line of a ledger stays before the next",
        "tests/sim/campaign/ledger.py",
        "            self._file.truncate(kept)\n",
        "            pass\n",
        f"{LEDGER}::test_a_line_that_was_not_written_whole_is_as_if_it_had_not_been",
    ),
]
