"""The second part of `make demo`: three hosts that find each other, die and come back, and a move.

Hosts B and C know only A, which then goes away. What is typed is run by `avm-host` as in the first
part; the exit code is 0 when all that is claimed held.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from examples.demo import PATIENCE_S, DoesNotHold, Terminal, check, say, show

LINES = 300


def kill(terminal: Terminal) -> None:
    host, workers = terminal.processes()
    terminal.kill([host, *workers])
    terminal.bury()


def created(terminal: Terminal, *words: str) -> dict[str, Any]:
    """Creates a machine; what `init` answered."""
    say(f"{terminal.prompt} avm-host create {' '.join(words)}")
    names: dict[str, Any] = json.loads(terminal.read("create", *words, "--json"))
    return names


def begin(a: Terminal, b: Terminal, c: Terminal) -> str:
    say("\n\nThree hosts. B and C are told one address, A's; a machine on each.\n")
    a.start_host("--listen", "127.0.0.1:0")
    route = str(json.loads(a.read("status", "--json"))["route"])
    for one in (b, c):
        one.start_host("--listen", "127.0.0.1:0", "--bootstrap", route)
    return route


def introduce(a: Terminal, b: Terminal, c: Terminal) -> str:
    counter = created(c, "counter.py")
    bob = created(b, "agent.py", "--name", "bob")
    created(a, "agent.py", "--name", "ann")
    say("\n  ann is given bob, and the right to add to the counter; she hands that to bob.\n")
    for name, cap in (("bob", bob["learn"]), ("counter", counter["add"])):
        a.read("call", "ann.learn", json.dumps({"name": name, "cap": cap}))
    a.type("send", "ann.introduce", json.dumps({"to": "bob", "name": "counter"}))
    end = monotonic() + PATIENCE_S
    while b.ask("bob.known") != ["counter"]:
        if monotonic() > end:
            raise DoesNotHold("bob did not hear of the counter")
        sleep(0.05)
    a.type("links")
    check(True, "bob, on B, holds a capability to the counter, on C")
    read: str = counter["read"]["$cap"]
    return read


def without_introducer(a: Terminal, b: Terminal) -> None:
    say("\n  Now A dies. Nobody needs it any more.\n")
    kill(a)
    five = b.type("call", "bob.use", json.dumps({"name": "counter", "content": 5}))
    check(json.loads(five) == 5, "B's machine reaches C's while A is down")


def comes_back_elsewhere(b: Terminal, c: Terminal, route: str) -> None:
    say(
        f"\n  {LINES} messages go to bob, who passes them on; C dies, and comes back on another port.\n"
    )
    line = json.dumps({"name": "counter", "content": 1})
    path = b.directory.parent / "lines.jsonl"
    path.write_text(f"{line}\n" * LINES)
    b.type("send", "bob.use", "--jsonl", str(path), "--batch-size", "10")
    kill(c)
    b.type("send", "bob.use", "--jsonl", str(path), "--batch-size", "10")
    b.type("channels")
    c.start_host("--listen", "127.0.0.1:0", "--bootstrap", route)
    end = monotonic() + PATIENCE_S
    while (total := c.ask("counter.read")) < 5 + 2 * LINES and monotonic() < end:
        sleep(0.2)
    check(total == 5 + 2 * LINES, f"the counter stands at {total}: nothing lost, nothing doubled")
    b.type("links")


def moves(b: Terminal, c: Terminal, read: str) -> None:
    say(
        "\n  While bob is at it again the counter moves from C to B, whose operator lets it come.\n"
    )
    before = c.ask("counter.read")
    path = b.directory.parent / "lines.jsonl"
    b.type("send", "bob.use", "--jsonl", str(path), "--batch-size", "10")
    b.type("peers", "trust", json.loads(c.read("status", "--json"))["address"])
    c.type("move", "counter", "--to", json.loads(b.read("status", "--json"))["route"])
    b.type("ls")
    end = monotonic() + PATIENCE_S
    while (total := b.ask("counter.read")) < before + LINES and monotonic() < end:
        sleep(0.2)
    check(total == before + LINES, f"the counter, now on B, stands at {total}: each counted once")
    say("\n  A capability that was given away before is as good as it was:\n")
    say(f"{c.prompt} avm-host call {read[:16]}..")
    there = json.loads(c.read("call", read))
    show(str(there))
    check(there == total, "C reaches it at B by the same capability")


def look_back(terminals: list[Terminal], route: str) -> None:
    a, b, c = terminals
    say("\n  A comes back where it was; every journal gives the same again.\n")
    a.start_host("--listen", route.rpartition("@")[2])
    for terminal, name in ((a, "ann"), (b, "bob"), (b, "counter")):
        printed = terminal.type("replay", name)
        check("every digest agrees" in printed, f"{name} does again what it did")
    address = json.loads(c.read("status", "--json"))["address"]
    say(f"{a.prompt} avm-host locate {address[:12]}.. --trace")
    show(a.read("locate", address, "--trace"))
    for terminal in terminals:
        terminal.type("stop")


def run(terminals: list[Terminal]) -> None:
    """The whole of it; raises DoesNotHold."""
    began = monotonic()
    a, b, c = terminals
    route = begin(a, b, c)
    read = introduce(a, b, c)
    without_introducer(a, b)
    comes_back_elsewhere(b, c, route)
    moves(b, c, read)
    look_back(terminals, route)
    kills = sum(one.kills for one in terminals)
    say(
        f"\nThree hosts, {kills} killed with -9, in {monotonic() - began:.0f} seconds: nothing lost."
    )


def main() -> int:
    directory = Path(tempfile.mkdtemp(prefix="avm-demo-"))
    with ExitStack() as closing:
        terminals = [Terminal(directory / name, f"{name}$") for name in "ABC"]
        for one in terminals:
            closing.callback(one.close)
        try:
            run(terminals)
        except (DoesNotHold, subprocess.TimeoutExpired) as error:
            say(
                f"\nThis does not hold: {error}\nThe hosts' directories and logs are kept: {directory}"
            )
            return 1
    shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
