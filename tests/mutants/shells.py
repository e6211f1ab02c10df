"""Seeded faults of the trio shells, of their clocks and order, and of the transport in memory."""

from tests.mutants.faults import Fault

SHELLS = "tests/sim/test_shells.py"
REPEATS = f"{SHELLS}::test_c02_tokens_are_conserved_by_whole_hosts_and_a_run_repeats"
ELSEWHERE = "test_p01_a_run_of_whole_hosts_is_the_same_in_another_process_under_another_hash_seed"

SHELL_FAULTS = [
    Fault(
        "a host is dialed where it was",
        "avm/nat/finding.py",
        "            for place in reversed(where.location.where):\n"
        "                self.learn(host, place)\n",
        "            pass\n",
        f"{SHELLS}::test_a_host_that_is_back_at_another_port_is_found_there",
    ),
    Fault(
        "a link that has ended is not told to the core",
        "avm/run/network.py",
        "            self._core.link_down(number)\n",
        "            pass\n",
        f"{SHELLS}::test_an_ask_outlives_links_that_break_and_hosts_that_are_parted_for_a_while",
    ),
    Fault(
        "a machine that has moved is not announced",
        "avm/run/network.py",
        "                self._start(self._announcer.publish, address)\n",
        "                pass\n",
        REPEATS,
    ),
    Fault(
        "the shell of a node reads a clock of its own",
        "avm/run/network.py",
        "        now_ms = port.moment().now_ms\n",
        '        now_ms = __import__("time").time_ns() // 1_000_000\n',
        REPEATS,
    ),
    Fault(
        "a shell draws entropy of its own",
        "avm/run/network.py",
        "        traversal = Traversal(keys.address, own, entropy, nat",
        '        entropy = __import__("os").urandom\n'
        "        traversal = Traversal(keys.address, own, entropy, nat",
        REPEATS,
    ),
    Fault(
        "the places of a host are tried in the order of a set",
        "avm/nat/finding.py",
        "tuple(self._routes.get(host, {}))[::-1]",
        "tuple(set(self._routes.get(host, {})))",
        f"{SHELLS}::{ELSEWHERE}",
    ),
    Fault(
        "trio's scheduler goes its own way",
        "tests/sim/shells.py",
        "    core._r.seed(seed)\n",
        "    core._r.seed()\n",
        f"{SHELLS}::test_p01_tasks_that_are_ready_together_go_on_in_an_order_of_the_seed",
    ),
    Fault(
        "a reset outweighs the last word that came before it",
        "avm/link/quic.py",
        "        if down is None and carrier.is_forgotten:\n",
        "        if carrier.is_forgotten:\n",
        "tests/link/test_resets.py::test_a_peers_last_word_counts_though_a_reset_came_with_it",
    ),
]
