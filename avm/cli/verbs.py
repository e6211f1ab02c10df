"""The table of the verbs: where each is, what it is for, and how it is used.

The help is made of this table alone, so that it loads nothing else.
"""

from typing import NamedTuple


class Verb(NamedTuple):
    """A verb: its name, its module, a line of help, the group it stands in, and examples."""

    name: str
    module: str
    summary: str
    group: str
    examples: tuple[str, ...]


BEGIN = "writing a machine"
HOST = "the host"
MACHINES = "machines"
MESSAGES = "messages"
JOURNAL = "journal and failures"
NETWORK = "other hosts"
GROUPS = (BEGIN, HOST, MACHINES, MESSAGES, JOURNAL, NETWORK)

VERBS = (
    Verb("new", "avm.cli.new", "make a folder with a machine, a test and a README", BEGIN, ("new counter",)),
    Verb("dev", "avm.cli.dev", "run a machine here with a prompt, reloading on save", BEGIN, ("dev counter.py", "dev shop.py --params '{\"open\": true}' --grant bank=bank.deposit")),
    Verb("check", "avm.cli.check", "check a file before it becomes a machine", BEGIN, ("check counter.py",)),
    Verb("kit", "avm.cli.kit", "play the scenes of the capability patterns, also with your own machine", BEGIN, ("kit", "kit membrane sealer --on process,faults", "kit caretaker --machine mine.py --on process")),
    Verb("run", "avm.cli.run", "run the host in the foreground", HOST, ("run", "run --set limits.turn_s=1", "run --listen 127.0.0.1:4433", "run --record recording")),
    Verb("stop", "avm.cli.stop", "let the running host finish its turns and end", HOST, ("stop",)),
    Verb("status", "avm.cli.status", "show the running host", HOST, ("status", "status --wait 10 --json")),
    Verb("config", "avm.cli.config", "print every setting that holds", HOST, ("config", "config --json")),
    Verb("keys", "avm.cli.keys", "put the host's keys under a passphrase, change its key, part from its root key; begin or end key generations of a machine", HOST, ("keys", "keys lock", "keys unlock", "keys export keys.locked", "keys import keys.locked", "keys lock --passphrase-fd 3 3< passphrase", "keys rotate --host", "keys detach root.locked", "keys request asked", "keys certify asked root.locked answer --life 90d", "keys import answer", "keys ls counter", "keys rotate counter --grace 7d", "keys revoke counter --generation 0")),
    Verb("completion", "avm.cli.completion", "print shell completion for bash, zsh or tcsh", HOST, ("completion bash",)),
    Verb(
        "create",
        "avm.cli.create",
        "create a machine from a file",
        MACHINES,
        (
            "create counter.py",
            "create shop.py --name shop2 --params '{\"open\": true}' --grant bank=bank.deposit",
            "create printer.py --about region=north --about pages=10",
        ),
    ),
    Verb("ls", "avm.cli.ls", "list the machines", MACHINES, ("ls", "ls --json")),
    Verb("show", "avm.cli.show", "show all of one machine", MACHINES, ("show counter",)),
    Verb("state", "avm.cli.state", "print a machine's state, now or at a turn", MACHINES, ("state counter --at 0",)),
    Verb("edit", "avm.cli.edit", "put another state in the place of a machine's", MACHINES, ("edit counter '{\"$record\": [\"Counter\", {\"me\": {\"$me\": []}, \"total\": 0}]}'",)),
    Verb("upgrade", "avm.cli.upgrade", "give a machine new code, its state kept", MACHINES, ("upgrade counter counter.py",)),
    Verb("suspend", "avm.cli.lifecycle", "stop a machine; what comes waits, or fails", MACHINES, ("suspend counter", "suspend counter --fail")),
    Verb("resume", "avm.cli.lifecycle", "let a suspended machine go on", MACHINES, ("resume counter",)),
    Verb("halt", "avm.cli.lifecycle", "end a machine for good; its journal stays", MACHINES, ("halt counter",)),
    Verb("rm", "avm.cli.lifecycle", "remove a halted machine and its journal", MACHINES, ("rm counter",)),
    Verb(
        "send",
        "avm.cli.send",
        "send a message, or one a line of a file, exactly once",
        MESSAGES,
        (
            "send counter.add 5",
            "send log.line --lines access.log",
            "send log.event --jsonl - --resume nightly < events.jsonl",
        ),
    ),
    Verb("call", "avm.cli.call", "send a message that asks, and print the answer", MESSAGES, ("call counter.add 5", "call counter.add -5.5e3", "call greeter.hello --text world", "call counter.add 5 --at 3")),
    Verb("listen", "avm.cli.listen", "print a capability, then each message sent to it", MESSAGES, ("listen", "listen inbox --json")),
    Verb("log", "avm.cli.log", "print a machine's journal, an entry a line", JOURNAL, ("log counter --follow", "log counter --since 10m")),
    Verb("replay", "avm.cli.replay", "take a machine's turns again and compare", JOURNAL, ("replay counter", "replay counter --code counter.py")),
    Verb("diff", "avm.cli.diff", "show what two turns of a machine's state differ in", JOURNAL, ("diff counter --from 3 --to 7", "diff counter --to 7")),
    Verb("bisect", "avm.cli.bisect", "find the first turn after which an expectation of the state fails", JOURNAL, ("bisect counter --expect positive.py",)),
    Verb("cause", "avm.cli.cause", "show the turns and batches that led to a turn", JOURNAL, ("cause counter 7", "cause counter 7 --json", "cause --from-json here.json there.json")),
    Verb("fork", "avm.cli.fork", "copy machines as they were, for questions that have no effects", JOURNAL, ("fork counter --at 3", "fork --all monday --at 2026-01-31T12:00:00Z", "fork ls", "fork rm monday")),
    Verb("reprocess", "avm.cli.reprocess", "make a machine's state anew by new code, then switch or drop", JOURNAL, ("reprocess counter --code counter.py", "reprocess counter --code counter.py --since 2h --without importer --dry-run", "reprocess counter --switch")),
    Verb("rerun", "avm.cli.rerun", "tell a recording to the cores again and compare", JOURNAL, ("rerun recording", "rerun recording --until 1000")),
    Verb("verify", "avm.cli.verify", "check every chain, seal and reference in the store", JOURNAL, ("verify",)),
    Verb("audit", "avm.cli.audit", "list what was granted, revoked and refused, or verify the list", JOURNAL, ("audit", "audit --since 2h --follow", "audit verify")),
    Verb("failed", "avm.cli.failed", "list, show, retry, edit or drop batches that broke a machine", JOURNAL, ("failed", "failed show counter 12", "failed retry counter 12", "failed edit counter 12 '[5]'", "failed drop counter 12")),
    Verb("backup", "avm.cli.backup", "copy the store and its keys into one file, while running", JOURNAL, ("backup monday.avm",)),
    Verb("prune", "avm.cli.prune", "forget the oldest turns of a machine", JOURNAL, ("prune counter --keep 1000",)),
    Verb("caps", "avm.cli.caps", "show who holds what and who can reach what; narrow, forward and revoke capabilities; grant making machines", MACHINES, ("caps ls counter", "caps who-can counter.add", "caps path ann counter", "caps narrow counter.add --until 7d --uses 10", "caps narrow counter.add --only '[\"int\", 0, 10]'", "caps forward counter.add --name loan", "caps factory shop.py --at-most 10", "caps graph --svg authority.svg", "caps revoke loan.access --dry-run", "caps revoke loan.access")),
    Verb("export", "avm.cli.carry", "carry a suspended machine away in a file; it ends here", MACHINES, ("export counter counter.machine", "export counter counter.machine --from-snapshot")),
    Verb("import", "avm.cli.carry", "have a machine out of a file live here", MACHINES, ("import counter.machine", "import counter.machine --name counter2")),
    Verb("links", "avm.cli.outside", "list the links to other hosts", NETWORK, ("links", "links --json")),
    Verb("peers", "avm.cli.peers", "list, dial, drop, ban or trust other hosts", NETWORK, ("peers", "peers dial 3f0c99d1a7b2e4586d0f1c2b3a495867f8e9dacb0b1c2d3e4f5061728394a5b6@192.0.2.7:4433", "peers drop 3f0c", "peers ban 3f0c", "peers unban 3f0c", "peers trust 3f0c99d1a7b2e4586d0f1c2b3a495867f8e9dacb0b1c2d3e4f5061728394a5b6")),
    Verb("channels", "avm.cli.channels", "list the channels to and from other hosts, or decide on a frozen one", NETWORK, ("channels", "channels accept 3f0c99d1 87e273ac", "channels restart 3f0c99d1 87e273ac", "channels cases")),
    Verb("move", "avm.cli.move", "carry a machine to another host; capabilities to it stay good", NETWORK, ("move counter --to 3f0c99d1a7b2e4586d0f1c2b3a495867f8e9dacb0b1c2d3e4f5061728394a5b6@192.0.2.7:4433", "move counter --to 3f0c --as counter2", "move counter --back")),
    Verb("drain", "avm.cli.outside", "take no new work, and deliver what is owed to other hosts", NETWORK, ("drain --timeout 10",)),
    Verb("locate", "avm.cli.outside", "ask the network where an address is", NETWORK, ("locate 3f0c99d1a7b2e4586d0f1c2b3a495867f8e9dacb0b1c2d3e4f5061728394a5b6 --trace",)),
    Verb("dht", "avm.cli.records", "show the host's node: contacts, records it holds, counters", NETWORK, ("dht", "dht table", "dht records --json")),
    Verb("publish", "avm.cli.records", "list what this host announces, or announce it now", NETWORK, ("publish", "publish counter --now", "publish --now --timeout 10")),
)  # fmt: skip


def verb_named(name: str) -> Verb | None:
    """The verb of that name."""
    return next((verb for verb in VERBS if verb.name == name), None)
