"""Seeded faults of the simulator, and of what it shares with the shell."""

from tests.mutants.faults import Fault

WORLD = "tests/sim/test_world.py"
FAULTY = "tests/sim/test_world_faults.py"
FINDING = "tests/nat/test_finding.py"

FAULTS = [
    Fault(
        "what was meant for a host that died reaches the next",
        "avm/sim/scene.py",
        "        return found if found.host.up and found.life == life else None\n",
        "        return found if found.host.up else None\n",
        f"{FAULTY}::test_what_was_under_way_when_a_host_died_is_not_done_in_its_next_life",
    ),
    Fault(
        "the trace tells of objects and not of what they are",
        "avm/sim/scene.py",
        '        moment = self.now_us.to_bytes(8, "big")\n',
        '        moment = (self.now_us + id(body) // 16 % 7).to_bytes(8, "big")\n',
        f"{WORLD}::test_p05_the_same_seed_and_plan_give_the_same_trace",
    ),
    Fault(
        "a saved set numbers what is in it in the order of its hashes",
        "avm/graph.py",
        "        items = sorted(value, key=lambda one: _Writer(self._kinds).whole(one))\n",
        "        items = value\n",
        "tests/avm/test_graph.py::test_p02_a_set_gives_the_same_bytes_in_whatever_order_it_has_its_members",
    ),
    Fault(
        "a saved worker forgets what was planned for it",
        "avm/sim/forms.py",
        "    worker.hangs, worker.is_planned = hangs, is_planned\n",
        "    worker.hangs = hangs\n",
        f"{WORLD}::test_p02_what_is_planned_for_a_worker_is_so_in_the_loaded_world",
    ),
    Fault(
        "a saved worker forgets the states of its machines",
        "avm/machine/inside.py",
        "            self._load_machine(machine, digest, body, references, next_slot, generation)\n",
        "            self._load_machine(machine, digest, None, references, next_slot, generation)\n",
        f"{WORLD}::test_p02_a_fork_and_a_replay_from_the_start_agree_byte_for_byte",
    ),
    Fault(
        "a fork shares the store",
        "avm/sim/world.py",
        "        return World.load_untrusted(self.save(), self.codes.__getitem__, self.scene.proofs)\n",
        "        other = World.load_untrusted(self.save(), self.codes.__getitem__, self.scene.proofs)\n"
        "        for mine, its in zip(self.hosts, other.hosts, strict=True):\n"
        "            its.store = mine.store\n"
        "        return other\n",
        f"{WORLD}::test_p02_a_fork_goes_its_own_way",
    ),
    Fault(
        "a crash before a commit comes after it",
        "avm/sim/passes.py",
        "    elif fault is not None and not fault.after:\n",
        "    elif fault is not None and not fault.after and _written(scene, site):\n",
        f"{FAULTY}::test_a_crash_keeps_what_was_committed_and_nothing_else",
    ),
    Fault(
        "what a partition held back stays where it is",
        "avm/sim/faults.py",
        "    scene.weather.end(fault)\n    if isinstance(fault, Partition | Asymmetric):\n"
        "        wires.look_at_paths(scene)\n",
        "    scene.weather.end(fault)\n    if isinstance(fault, Partition | Asymmetric):\n"
        "        pass\n",
        f"{FAULTY}::test_a_partition_stops_all_between_its_sides_and_nothing_else",
    ),
    Fault(
        "a lane does not keep its order",
        "avm/sim/wires.py",
        "    at_us = max(begins_us + way_us + late_us, there.last_us, end.pace_us)\n"
        "    at_us += -at_us % PACKET_US\n"
        "    there.frames.append((at_us, frame))\n",
        "    at_us = max(begins_us + way_us + late_us, there.last_us, end.pace_us)\n"
        "    at_us += -at_us % PACKET_US\n"
        "    there.frames.appendleft((at_us, frame))\n",
        f"{FAULTY}::test_latency_and_reordering_take_longer_and_a_lane_keeps_its_order",
    ),
    Fault(
        "a full disk writes all the same",
        "avm/sim/passes.py",
        "    if scene.weather.refuses_commits(site.name):\n",
        "    if scene.weather.refuses_commits(site.name) and scene.now_us < 0:\n",
        f"{FAULTY}::test_a_full_disk_refuses_and_loses_nothing",
    ),
    Fault(
        "a router lets everybody in",
        "avm/sim/router.py",
        "        if known is None or known[0] != port or now_us - known[1] >= self.keeps_us:\n"
        "            return False\n",
        "        if known is None or known[0] != port or now_us - known[1] >= self.keeps_us:\n"
        "            return True\n",
        f"{FAULTY}::test_hosts_behind_routers_meet_by_a_third_or_are_relayed",
    ),
    Fault(
        "what was known of a host is tried before its record",
        "avm/nat/finding.py",
        "        self.try_next(host, tuple(self._routes.get(host, {}))[::-1])\n",
        "        self.try_next(host, tuple(self._routes.get(host, {})))\n",
        f"{FINDING}::test_what_the_record_says_is_tried_before_what_was_known",
    ),
    Fault(
        "that a link is gone is said on one other alone",
        "avm/host/arrivals.py",
        "    for other in others:\n",
        "    for other in others[-1:]:\n",
        "tests/sim/test_late_opens.py",
    ),
]
