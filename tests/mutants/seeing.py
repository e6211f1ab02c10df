"""The seeded faults of seeing authority: what is held, whence, and who can reach what."""

from tests.mutants.faults import Fault

GRAPH = "tests/avm/test_authority.py"
REACH = "tests/avm/test_authority_reach.py"
PICTURE = "tests/avm/test_authority_picture.py"
VERBS = "tests/avm/test_authority_verbs.py"

FAULTS = [
    Fault(
        "a collected capability is known by its slot",
        "avm/host/refer.py",
        "            machine.slot_of.pop(cap, None)\n",
        "            machine.slot_of.get(cap, None)\n",
        f"{GRAPH}::test_x02_no_collected_slot_is_used_when_the_capability_comes_again",
    ),
    Fault(
        "a turn that kept its state is told to have brought what it was given",
        "avm/authority/past.py",
        "        interned = fresh > 0 and changes(entry)\n",
        "        interned = fresh > 0\n",
        f"{GRAPH}::test_w26_a_turn_that_kept_nothing_brought_nothing",
    ),
    Fault(
        "a capability with a kind is read as a narrowed one",
        "avm/authority/past.py",
        "        if len(reference) == 2 and not is_narrowed(reference):\n",
        "        if False:\n",
        f"{GRAPH}::test_w26_capabilities_of_a_kind_are_told_when_they_come_and_when_they_go",
    ),
    Fault(
        "what was collected is told as held for ever",
        "avm/authority/past.py",
        '                self.past.dropped.update(dict.fromkeys(entry["slots"], entry.n))\n',
        "                pass\n",
        f"{GRAPH}::test_x02_a_slot_that_the_state_let_go_is_collected_and_told_as_dropped",
    ),
    Fault(
        "the giver's turn is the newest that sent anything",
        "avm/authority/past.py",
        "                self.past.sent[(receiver, seq)] = entry.n\n",
        "                self.past.sent[(receiver, first)] = entry.n + 1\n",
        f"{GRAPH}::test_w26_each_capability_is_told_with_its_giver_and_both_turns",
    ),
    Fault(
        "what is in a context is not held by who sealed it",
        "avm/authority/tables.py",
        "    graph.add(in_contexts(found))\n",
        "",
        f"{GRAPH}::test_w26_a_capability_on_its_way_or_in_a_context_is_held",
    ),
    Fault(
        "what is sealed to a client that has ended leads to another host",
        "avm/authority/tables.py",
        "        if lived_here or any(map(is_own, sealed[:TRIED_MAX])):\n",
        "        if lived_here:\n",
        f"{VERBS}::test_w26_that_a_client_has_ended_is_told_by_the_seal_or_by_who_was_given_it_in_time",
    ),
    Fault(
        "what is on its way is nobody's",
        "avm/authority/tables.py",
        "    yield from _in_batches(rows, owners)\n",
        "",
        f"{GRAPH}::test_w26_a_capability_on_its_way_or_in_a_context_is_held",
    ),
    Fault(
        "what a client was given is not seen",
        "avm/past/authority.py",
        "                if one.to in self.graph.parties or one.to in elsewhere:\n",
        "                if one.to in elsewhere - self.graph.parties.keys():\n",
        f"{GRAPH}::test_w26_what_a_client_was_given_is_told_until_it_ends",
    ),
    Fault(
        "what is in the context of a client's capability is not held",
        "avm/past/authority.py",
        "        self.graph.add(in_contexts(out))\n",
        "",
        f"{GRAPH}::test_w26_what_a_client_can_have_a_machine_use_is_held_by_that_machine",
    ),
    Fault(
        "what was passed on and not kept is not told of",
        "avm/past/authority.py",
        "                self.unknown += not one.whole\n",
        "",
        f"{GRAPH}::test_w26_what_a_client_can_have_a_machine_use_is_held_by_that_machine",
    ),
    Fault(
        "an operator's edit brings nothing",
        "avm/authority/past.py",
        "                self._arrive(entry.n, OPERATOR, 0, above - self.next)\n",
        "                pass\n",
        f"{GRAPH}::test_w26_what_an_operator_put_into_a_state_came_from_the_operator",
    ),
    Fault(
        "a revoked capability carries as if it were good",
        "avm/authority/holding.py",
        '            return "revoked"\n',
        '            return ""\n',
        f"{REACH}::test_w26_who_can_and_path_agree_with_everything_tried",
    ),
    Fault(
        "a capability for another holder alone is taken for good",
        "avm/authority/holding.py",
        "        if any(holder != one.holder for holder in terms.only):\n",
        "        if any(holder == one.holder for holder in terms.only):\n",
        f"{REACH}::test_w26_a_capability_that_is_not_good_carries_nothing",
    ),
    Fault(
        "who can reach it ends with who holds it",
        "avm/authority/reach.py",
        "            chains[one.holder] = (one, *chains[reached])\n            waiting.append(one.holder)\n",
        "            chains[one.holder] = (one, *chains[reached])\n",
        f"{REACH}::test_w26_who_can_and_path_agree_with_everything_tried",
    ),
    Fault(
        "a dry run leaves out who holds none of it",
        "avm/authority/reach.py",
        "    before = list(_upstream(graph, direct))\n",
        "    before = list(direct)\n",
        f"{REACH}::test_w26_the_dry_run_of_a_revocation_is_what_is_so_without_these_capabilities",
    ),
    Fault(
        "a dry run leaves those narrowed from it",
        "avm/authority/holding.py",
        "        return one[:7] == cap[:7] and one.caveats[: len(cap.caveats)] == cap.caveats\n",
        "        return one == cap\n",
        f"{REACH}::test_w26_a_narrowed_capability_is_one_of_those_it_was_narrowed_from",
    ),
    Fault(
        "what is revoked is drawn like the rest",
        "avm/authority/svg.py",
        "    colour = GREY if line.dead else KINDS[line.kind]\n    dash",
        "    colour = KINDS[line.kind]\n    dash",
        f"{PICTURE}::test_w26_a_picture_tells_kinds_generations_and_what_is_revoked",
    ),
    Fault(
        "a name goes into a picture as it is",
        "avm/authority/svg.py",
        '    return escape("".join(one if one.isprintable() or one == "\\n" else "?" for one in text))\n',
        "    return text\n",
        f"{PICTURE}::test_w26_a_label_cannot_leave_its_place_in_a_picture",
    ),
    Fault(
        "what the state let go is told as retained",
        "avm/cli/caps_ls.py",
        '            told["retained"] = one.place in checked\n',
        '            told["retained"] = True\n',
        f"{VERBS}::test_w26_ls_with_check_asks_the_state_itself",
    ),
]
