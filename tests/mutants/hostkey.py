"""Seeded faults of a host's key under its root key: who is taken for a host, and what is left of the root key."""

from tests.mutants.faults import Fault

PROOF = "tests/caps/test_hostproof.py"
LINK = "tests/link/test_host_keys.py"
RECORD = "tests/dht/test_host_keys.py"
SIM = "tests/sim/test_host_keys.py"
VERBS = "tests/avm/test_host_key_verbs.py"
KILLS = "tests/avm/test_host_key_kills.py"
RECORDING = "tests/sim/test_recording_host_keys.py"
DIALED = (
    f"{LINK}::test_s07_a_dialed_host_whose_key_is_not_certified_now_is_refused_and_hears_nothing"
)
DIALER = f"{LINK}::test_s07_a_dialer_whose_key_is_not_certified_now_is_refused"
REPLACED = f"{SIM}::test_s07_a_key_that_was_replaced_is_taken_by_no_host_that_has_seen_the_new_one"
AWAY = f"{VERBS}::test_x01_the_root_key_is_taken_away_and_no_byte_of_it_stays"
REFUSED = f"{VERBS}::test_s07_certificates_of_others_old_or_ended_ones_are_refused"

FAULTS = [
    Fault(
        "whoever has an old key of a host is let in as itself",
        "avm/host/peering.py",
        "    if proof.address == host.address:\n",
        "    if False:\n",
        f"{SIM}::test_s07_no_host_is_linked_to_by_its_own_keys",
    ),
    Fault(
        "a host's own certificate speaks for a machine",
        "avm/host/links.py",
        "        if known.address != address or shown.is_hosts_own:\n",
        "        if known.address != address:\n",
        f"{SIM}::test_s07_a_hosts_own_certificate_speaks_for_no_machine",
    ),
    Fault(
        "a host's own certificate is shown on a link as a machine's",
        "avm/link/machines.py",
        "        if said.certificate.is_hosts_own:\n",
        "        if False:\n",
        f"{LINK}::test_s07_a_hosts_own_certificate_is_no_machines_on_a_link",
    ),
    Fault(
        "a host's own certificate says in the network where a machine lives",
        "dht/record.py",
        "                if where.is_hosts_own:\n",
        "                if False:\n",
        f"{RECORD}::test_w18_a_hosts_own_certificate_is_no_location_of_a_machine",
    ),
    Fault(
        "a certificate that does not hold yet takes the place of one that does",
        "avm/cli/keys_root.py",
        "    if later.terms.not_before_ms > now_ms():\n",
        "    if False:\n",
        REFUSED,
    ),
    Fault(
        "the root key goes where the keys are written over it",
        "avm/cli/keys_root.py",
        "    if path.resolve().is_relative_to(directory.path.resolve()):\n",
        "    if False:\n",
        f"{VERBS}::test_the_root_key_stays_where_its_file_cannot_be_written",
    ),
    Fault(
        "the root key leaves a host behind whose certificate is over",
        "avm/cli/keys_root.py",
        " and not key_life(keys.proof, now_ms()).ending\n",
        "\n",
        f"{KILLS}::test_x01_the_root_key_leaves_no_host_behind_whose_certificate_ends_soon",
    ),
    Fault(
        "the root key is taken away before its file is there",
        "avm/cli/keys_root.py",
        "    put(directory.files, path, lock(body, kept.proof.address, fresh, entropy).to_bytes())\n"
        '    _write(directory, replace(kept, root_seed=b""), DETACHED)\n',
        '    _write(directory, replace(kept, root_seed=b""), DETACHED)\n'
        "    put(directory.files, path, lock(body, kept.proof.address, fresh, entropy).to_bytes())\n",
        f"{KILLS}::test_x01_wherever_the_root_keys_going_is_cut_it_is_here_or_in_its_file",
    ),
    Fault(
        "any root key certifies a host's key",
        "caps/hostproof.py",
        "        self.certificate.check_signed(self.identity)\n",
        "        pass\n",
        f"{PROOF}::test_s07_a_key_that_the_root_key_did_not_certify_is_nobodys",
    ),
    Fault(
        "a machine's certificate makes a host",
        "caps/hostproof.py",
        "        if not self.certificate.is_hosts_own:\n",
        "        if False:\n",
        f"{PROOF}::test_s07_a_machines_certificate_makes_nobody_a_host",
    ),
    Fault(
        "another key has the number of the one before",
        "caps/hostproof.py",
        "        incarnation = max(incarnation, before.terms.incarnation + 1)\n",
        "        incarnation = before.terms.incarnation\n",
        f"{PROOF}::test_another_key_has_a_later_number_and_the_same_key_keeps_its_own",
    ),
    Fault(
        "a request for a certificate may be anybody's",
        "caps/certifying.py",
        "    if not verify(before.key, _DOMAIN, dumps_plain(_fields(key, before)), signature):\n",
        "    if False:\n",
        f"{PROOF}::test_s07_nobody_on_the_way_has_another_key_certified",
    ),
    Fault(
        "the file still holds the root key that was taken away",
        "avm/cli/keys_root.py",
        '    _write(directory, replace(kept, root_seed=b""), DETACHED)\n',
        "    _write(directory, kept, DETACHED)\n",
        AWAY,
    ),
    Fault(
        "the old key file is not wiped when the root key is taken away",
        "avm/run/directory.py",
        "            old.write(bytes(os.fstat(old.fileno()).st_size))\n",
        "            pass\n",
        AWAY,
    ),
    Fault(
        "the root key goes before its file lasts",
        "avm/cli/keys_root.py",
        "    fresh = args.passphrases.fresh()\n",
        '    _write(directory, replace(kept, root_seed=b""), DETACHED)\n'
        "    fresh = args.passphrases.fresh()\n",
        f"{VERBS}::test_the_root_key_stays_where_its_file_cannot_be_written",
    ),
    Fault(
        "a dialed host needs no certified key",
        "avm/link/handshake.py",
        "        _check(said.proof, now_ms)\n        self.peer = said.proof\n        body = signed_body(said.proof.key, self",
        "        self.peer = said.proof\n        body = signed_body(said.proof.key, self",
        DIALED,
    ),
    Fault(
        "a dialer needs no certified key",
        "avm/link/handshake.py",
        "        _check(said.proof, now_ms)\n        body = signed_body(self",
        "        body = signed_body(self",
        DIALER,
    ),
    Fault(
        "a host's certificate never ends",
        "avm/link/handshake.py",
        "        proof.check_time(now_ms)\n",
        "        pass\n",
        DIALER,
    ),
    Fault(
        "the key of TLS need not be the certified one",
        "avm/link/handshake.py",
        "        if shown is None or shown.key != said.proof.key:\n",
        "        if shown is None or said.proof.certificate is None and shown.key != said.proof.key:\n",
        DIALED,
    ),
    Fault(
        "a machine is spoken for by whatever key of its host",
        "caps/certificate.py",
        "        return self.terms.host == address and self.terms.host_key == key\n",
        "        return self.terms.host == address\n",
        f"{LINK}::test_s07_a_machine_is_spoken_for_by_the_key_that_is_proven_alone",
    ),
    Fault(
        "a key that was replaced is taken",
        "avm/host/peering.py",
        "    if known is not None and known.has_replaced(proof.incarnation, proof.key):\n",
        "    if False:\n",
        REPLACED,
    ),
    Fault(
        "links by an older key stay",
        "avm/host/peering.py",
        "            if link.peer == proof.address and link.key != proof.key:\n",
        "            if False:\n",
        REPLACED,
    ),
    Fault(
        "of two keys under one number the last is kept",
        "avm/host/roster.py",
        "            return key != self.key\n",
        "            return False\n",
        f"{SIM}::test_s07_of_two_keys_under_one_number_the_first_is_kept",
    ),
    Fault(
        "the newest key of a host is forgotten in a crash",
        "avm/host/roster.py",
        "    shown = [one.incarnation, one.key] if one.key else []\n",
        "    shown: list[Any] = []\n",
        f"{SIM}::test_s07_what_was_seen_of_a_hosts_key_is_known_after_a_crash",
    ),
    Fault(
        "who is met by an old key is not dialed again",
        "avm/host/peering.py",
        "        # Whoever is there is not who was dialed: that is tried elsewhere, and again.\n        no_link(host, address)\n",
        "        pass\n",
        f"{SIM}::test_a_host_that_is_met_by_an_old_key_is_dialed_again_later",
    ),
    Fault(
        "a link outlives the certificate of its key",
        "avm/host/hearing.py",
        '        host.deadlines.put(("key", number), proof.expiry_ms)\n',
        "        pass\n",
        f"{SIM}::test_s07_a_link_ends_with_the_certificate_of_its_key_and_nothing_is_lost",
    ),
    Fault(
        "a machine's certificate outlives that of its host's key",
        "avm/host/keys.py",
        "            until_ms = min(until_ms, self.proof.expiry_ms)\n",
        "            pass\n",
        f"{SIM}::test_what_names_a_key_ends_with_its_certificate",
    ),
    Fault(
        "the end of a key is told when it is over",
        "avm/host/keylife.py",
        "until_ms - now_ms <= ending_ms",
        "until_ms <= now_ms",
        f"{SIM}::test_the_operator_is_told_in_time_that_a_key_ends",
    ),
    Fault(
        "a change of a host's key is evidence against its machines",
        "dht/record.py",
        "            return mine.host != theirs.host\n",
        "            return (mine.host, mine.signer) != (theirs.host, theirs.signer)\n",
        f"{RECORD}::test_w18_a_host_that_changed_its_key_is_no_evidence_against_its_machines",
    ),
    Fault(
        "two keys of a host under one number are no evidence",
        "dht/record.py",
        "        return (mine.host, mine.signer) != (theirs.host, theirs.signer)\n",
        "        return mine.host != theirs.host\n",
        f"{RECORD}::test_w18_two_keys_of_a_host_under_one_number_are_evidence",
    ),
    Fault(
        "an old key outbids the new one by its sequence",
        "dht/record.py",
        "            if same and mine.signer != theirs.signer and made[0] != made[1]:\n",
        "            if False:\n",
        f"{RECORD}::test_w18_an_old_key_does_not_outbid_the_new_one_by_its_sequence",
    ),
    Fault(
        "a record's incarnation need not be its key's",
        "dht/record.py",
        "        if named is not None and named.terms.incarnation != self.location.incarnation:\n",
        "        if named is where and named.terms.incarnation != self.location.incarnation:\n",
        f"{RECORD}::test_w18_a_record_by_a_key_that_is_not_certified_is_refused",
    ),
    Fault(
        "a host's record outlives the certificate of its key",
        "dht/record.py",
        "                self.location.proof.check_time(now_ms)\n",
        "                pass\n",
        f"{RECORD}::test_w18_a_host_is_where_its_certified_key_says_it_is",
    ),
    Fault(
        "a host's record may be signed by a key that nobody certified",
        "dht/record.py",
        "                self.location.proof.check_signed()\n",
        "                pass\n",
        f"{RECORD}::test_w18_a_record_by_a_key_that_is_not_certified_is_refused",
    ),
    Fault(
        "a certificate of another key is taken",
        "avm/cli/keys_root.py",
        "    if proof.key not in (here.key, next_key):\n",
        "    if False:\n",
        REFUSED,
    ),
    Fault(
        "a key that was asked for before is asked for again",
        "avm/cli/keys_root.py",
        "        keys = replace(keys, next_seed=os.urandom(SEED_BYTES))\n",
        "        keys = replace(keys, next_seed=keys.next_seed or os.urandom(SEED_BYTES))\n",
        f"{VERBS}::test_s07_each_time_that_another_key_is_asked_for_it_is_another",
    ),
    Fault(
        "an older certificate is taken",
        "avm/cli/keys_root.py",
        "    if not later.newer_than(here.certificate):\n",
        "    if False:\n",
        REFUSED,
    ),
    Fault(
        "keys of which one is certified leave their passphrase",
        "avm/cli/keys_root.py",
        "    if locked:\n",
        "    if False:\n",
        f"{VERBS}::test_x01_keys_under_a_passphrase_stay_under_it",
    ),
    Fault(
        "a recording does not have the certificate of the host's key",
        "avm/recording/tape.py",
        "        shown = (proof.identity.to_bytes(), proof.certificate_bytes)\n",
        '        shown = (proof.identity.to_bytes(), b"")\n',
        f"{RECORDING}::test_p04_a_host_with_a_certified_key_is_recorded_and_told_again",
    ),
]
