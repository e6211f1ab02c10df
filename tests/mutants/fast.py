"""Seeded faults in what is left alone while it is busy, and in a campaign that goes on."""

from tests.mutants.faults import Fault

BUSY = "tests/sim/test_busy.py"
LEDGER = "tests/sim/test_ledger.py"

FAULTS = [
    Fault(
        "a crowded receiver is offered at one pace for ever",
        "avm/host/verdicts.py",
        "        outgoing.waited_ms = min(max(BUSY_MS, 2 * outgoing.waited_ms), BUSY_MS_MAX)\n",
        "        outgoing.waited_ms = BUSY_MS\n",
        f"{BUSY}::test_s05_a_host_offers_to_a_crowded_receiver_ever_less_often",
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
