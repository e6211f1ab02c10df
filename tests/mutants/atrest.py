"""Seeded faults of keys at rest, of what is in memory, and of the audit log."""

from tests.mutants.faults import Fault

LOCKED = "tests/caps/test_locked.py"
KEYS = "tests/avm/test_keys_verbs.py"
CARRIED = "tests/avm/test_keys_carried.py"
REST = "tests/net/test_keys_at_rest.py"
LOG = "tests/avm/test_auditlog.py"
AUDIT = "tests/sim/test_audit.py"
STOLEN = f"{REST}::test_x01_a_stolen_directory_with_a_passphrase_reveals_no_key_and_opens_nothing"

FAULTS = [
    Fault(
        "any passphrase opens the keys",
        "caps/locked.py",
        "    key: bytes = made.derive(passphrase)\n",
        "    key: bytes = made.derive(b'x')\n",
        f"{LOCKED}::test_x01_the_passphrase_opens_what_it_locked_and_no_other_does",
    ),
    Fault(
        "the master key lies beside what it opens",
        "caps/locked.py",
        "    wrapped = AESSIV(_stretch(passphrase, salt)).encrypt(master, about)\n",
        "    AESSIV(_stretch(passphrase, salt)).encrypt(master, about)\n"
        "    wrapped = master + salt\n",
        f"{LOCKED}::test_x01_the_passphrase_opens_what_it_locked_and_no_other_does",
    ),
    Fault(
        "whose keys they are is not bound to them",
        "caps/locked.py",
        "    about = [MAGIC, locked.address]\n",
        "    about = [MAGIC, b'\\xad' * 32]\n",
        f"{LOCKED}::test_a_changed_part_is_the_same_answer_as_a_wrong_passphrase",
    ),
    Fault(
        "the costs of a passphrase are low",
        "caps/locked.py",
        "MEMORY_KIB = 64 * 1024\n",
        "MEMORY_KIB = 64\n",
        f"{LOCKED}::test_the_costs_are_those_that_were_promised",
    ),
    Fault(
        "the open keys stay on the disk when they are locked",
        "avm/run/directory.py",
        "            old.write(bytes(os.fstat(old.fileno()).st_size))\n",
        "            pass\n",
        f"{KEYS}::test_the_bytes_of_the_open_keys_are_wiped_when_they_are_locked",
    ),
    Fault(
        "a backup's open keys stay in the store when they were locked meanwhile",
        "avm/run/backup.py",
        "    if address_in(body, directory.store) == directory.host_address():\n",
        "    if body == directory.key_file.read_bytes():\n",
        f"{KEYS}::test_keys_of_a_backup_that_were_locked_meanwhile_leave_the_store",
    ),
    Fault(
        "imported keys lie in the open",
        "avm/cli/keys_carry.py",
        "        directory.write_keys(body)\n",
        "        directory.write_keys(keys)\n",
        f"{CARRIED}::test_keys_are_carried_in_a_file_under_a_passphrase",
    ),
    Fault(
        "keys are put beside another host's store",
        "avm/cli/keys_carry.py",
        "    except CryptoError:\n",
        "    except CryptoError:\n        return\n    except ZeroDivisionError:\n",
        f"{CARRIED}::test_keys_are_carried_in_a_file_under_a_passphrase",
    ),
    Fault(
        "a store that others can open is run",
        "avm/run/opening.py",
        "        check_mode(directory.store)\n",
        "        pass\n",
        f"{KEYS}::test_s07_what_others_could_open_is_refused_with_the_remedy",
        patience_s=6.0,
    ),
    Fault(
        "a recording has locked keys in the open",
        "avm/run/opening.py",
        "    if record is not None and locked:\n",
        "    if False:\n",
        f"{KEYS}::test_a_recording_is_not_made_of_keys_under_a_passphrase",
        patience_s=6.0,
    ),
    Fault(
        "a process with keys can be dumped",
        "avm/machine/undumped.py",
        "    if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0):\n",
        "    if libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0):\n",
        f"{KEYS}::test_s07_a_process_with_keys_makes_no_core_dump",
    ),
    Fault(
        "what is typed is taken once",
        "avm/run/passphrase.py",
        '        if chosen != _typed("the same again: "):\n',
        '        if not _typed("the same again: "):\n',
        f"{KEYS}::test_a_terminal_is_asked_twice_and_shows_nothing",
    ),
    Fault(
        "the passphrase goes to the workers' process as an argument",
        "avm/run/starting.py",
        "    prepared = Prepared.start(HASH_SEED, config.limits)\n",
        "    said = directory.passphrase() if directory.passphrase else b''\n"
        "    from avm.run.spawn import PROGRAM\n\n"
        "    directory.create()\n"
        "    prepared = Prepared.start(HASH_SEED, config.limits, ('-X', f'phrase={said.decode()}', *PROGRAM))\n",
        f"{REST}::test_s07_no_key_is_in_a_worker_an_argument_the_environment_or_a_log",
    ),
    Fault(
        "a backup has the locked host's keys in the open",
        "avm/run/backup.py",
        "{KEYS: keys or directory.key_file.read_bytes()}",
        "{KEYS: b''.join(directory.read_keyring().secrets)}",
        STOLEN,
    ),
    Fault(
        "an entry of the audit log does not follow the one before",
        "avm/host/auditlog.py",
        "        if entry.before != (first if chain is None else chain):\n",
        "        if chain is None and entry.before != first:\n",
        f"{LOG}::test_the_first_broken_entry_is_named",
    ),
    Fault(
        "the newest entry of the audit log may be any",
        "avm/host/auditlog.py",
        "    elif chain is not None and chain != log.chain:\n",
        "    elif False:\n",
        f"{LOG}::test_the_first_broken_entry_is_named",
    ),
    Fault(
        "the audit log grows without end",
        "avm/host/auditlog.py",
        "            rows.append((self.first, None))\n            self.first += 1\n",
        "            break\n",
        f"{AUDIT}::test_the_oldest_entries_make_room",
    ),
    Fault(
        "an act and its entry are two commits",
        "avm/host/audited.py",
        '        host.group.dirty[("audit", n)] = entry\n    host.group.dirty[ROW] = host.audit\n',
        "        host.deadlines.put(HOUR, host.now_ms + 1)\n        del entry\n",
        f"{AUDIT}::test_each_act_of_the_operator_has_its_entry",
    ),
    Fault(
        "what was there already is written down as done",
        "avm/host/operate.py",
        '        why = "" if already else verbs[self.verb](host, machine, self.mode)\n',
        "        why = verbs[self.verb](host, machine, self.mode)\n",
        f"{AUDIT}::test_what_is_so_already_has_none",
    ),
    Fault(
        "a refused act is in the audit log",
        "avm/host/operate.py",
        "    if machine.status is not Status.SUSPENDED:\n",
        '    note(host, "resumed", machine)\n    if machine.status is not Status.SUSPENDED:\n',
        f"{AUDIT}::test_an_act_that_is_refused_has_none",
    ),
    Fault(
        "the host's reasons go into the audit log",
        "avm/host/operate.py",
        '        note(host, "edited", machine, turn=n, granted=granted(self.caps))\n',
        '        note(host, "edited", machine, turn=n, granted=granted(self.caps), body=body)\n',
        f"{AUDIT}::test_x01_no_secret_is_in_the_audit_log",
    ),
    Fault(
        "each refusal is written at once",
        "avm/host/audited.py",
        "    if host.group.dirty or host.group.journal:\n",
        "    if host.group:\n",
        f"{AUDIT}::test_what_was_only_counted_is_kept_when_the_host_is_told_to_end",
    ),
    Fault(
        "refusals that were counted are lost in a crash",
        "avm/host/audited.py",
        "    if host.group.dirty or host.group.journal:\n",
        "    if False:\n",
        f"{AUDIT}::test_refusals_are_counted_by_cause_and_told_by_the_hour",
    ),
    Fault(
        "the end of a generation is not told",
        "avm/host/generations.py",
        '    note(host, "revoked", machine, generation=generation, from_ms=from_ms)\n',
        "",
        "tests/sim/test_audit.py::test_w26_generations_are_told_of_and_who_was_refused_for_one_is_counted",
    ),
]
