"""How large packets are: faults of the search, and of what follows from it."""

from tests.mutants.faults import Fault

WHOLE = "tests/link/test_path.py"
PATH, CONNECTION = "avm/link/path.py", "avm/link/connection.py"
LESS = f"{WHOLE}::test_t04_what_a_path_takes_less_than_before_goes_on_in_smaller_packets"
TAKES = f"{WHOLE}::test_t04_packets_are_as_large_as_the_path_takes"
ANOTHER = f"{WHOLE}::test_t04_another_path_is_searched_anew"
ANY = f"{WHOLE}::test_t04_the_size_is_one_that_arrived_or_the_least_and_every_search_ends"

SIZE = [
    Fault(
        "a path that went quiet keeps its large packets",
        CONNECTION,
        "            self.path.went_quiet()\n",
        "",
        LESS,
    ),
    Fault(
        "a size is used before it arrived",
        PATH,
        "        self.due_s = _NEVER\n        return self._sizes[-1]\n",
        "        self.due_s = _NEVER\n        self.size = self._sizes[-1]\n        return self.size\n",
        ANY,
    ),
    Fault(
        "what was tried and went missing slows the link down",
        CONNECTION,
        "        lost = [packet for packet in all_lost if packet.sent_bytes <= self.path.size]\n",
        "        lost = all_lost\n",
        TAKES,
    ),
    Fault(
        "another path has the size of the one before",
        CONNECTION,
        "        self.path = self.congestion.path = PathSize(self._packet_bytes)\n",
        "",
        ANOTHER,
    ),
    Fault(
        "the size that arrived is not used",
        CONNECTION,
        "            path.went_missing(size, self._now_s)\n        self._resize()\n",
        "            path.went_missing(size, self._now_s)\n",
        TAKES,
    ),
]
