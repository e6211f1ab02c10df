"""The demonstration that `make demo` runs: a host is killed again and again and loses nothing.

Every line that begins with `$` is a command as one would type it, run by the `avm-host` that is
installed beside this Python. What is shown below it is what it printed. The exit code is 0 when all
that is claimed held, and 1 when anything did not.
"""

import gzip
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any

HERE = Path(__file__).resolve().parent
TOOL = Path(sys.executable).with_name("avm-host")
LOG = HERE / "logs" / "access.log.gz"
PATIENCE_S = 60.0
WIDTH = 110


class DoesNotHold(Exception):
    """Something that is promised did not hold."""


def say(text: str = "") -> None:
    print(text, flush=True)


def show(text: str, most: int = 12) -> None:
    """What a command printed, indented, long lines cut."""
    lines = text.splitlines()
    for line in lines[:most]:
        say("    " + (line if len(line) <= WIDTH else line[: WIDTH - 2] + ".."))
    if len(lines) > most:
        say(f"    .. and {len(lines) - most} more lines")


def check(holds: bool, claim: str) -> None:
    say(f"  {'yes' if holds else 'NO '}  {claim}")
    if not holds:
        raise DoesNotHold(claim)


class Terminal:
    """Somebody at a terminal, with a host in a directory of its own."""

    def __init__(self, directory: Path, prompt: str = "$") -> None:
        self.directory = directory
        self.prompt = prompt
        self.environment = {**os.environ, "AVM_HOST_DIR": str(directory)}
        self.host: subprocess.Popen[str] | None = None
        self.others: list[subprocess.Popen[str]] = []
        self.kills = 0
        self.log = directory.with_name(f"{directory.name}.log")

    def read(self, *words: str, code: int = 0) -> str:
        """Runs a command without showing it; what it printed on standard output."""
        ran = subprocess.run(
            [TOOL, *words],
            cwd=HERE,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        if ran.returncode != code:
            command = shlex.join(["avm-host", *words])
            raise DoesNotHold(f"`{command}` ended with {ran.returncode}: {ran.stderr.strip()}")
        return ran.stdout if code == 0 else ran.stderr

    def type(self, *words: str, code: int = 0, most: int = 12) -> str:
        """Runs a command and shows it with what it printed."""
        say(f"{self.prompt} avm-host {shlex.join(words)}")
        printed = self.read(*words, code=code)
        show(printed, most)
        return printed

    def ask(self, cap: str, content: object = None) -> Any:
        return json.loads(self.read("call", cap, json.dumps(content)))

    def start_host(self, *options: str) -> None:
        """Starts a host and waits for its ready line."""
        say(f"{self.prompt} avm-host {shlex.join(['run', *options])} &")
        began = monotonic()
        with self.log.open("ab") as log:
            self.host = subprocess.Popen(
                [TOOL, "run", *options],
                cwd=HERE,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.host.stdout is not None
        ready = ""
        while "is ready" not in ready:
            ready = self.host.stdout.readline()
            if not ready:
                raise DoesNotHold("the host did not start")
        show(f"{ready.strip()}  (after {monotonic() - began:.2f} s)")

    def kill(self, pids: Sequence[int]) -> None:
        """Kills processes with -9, all at once."""
        say(f"{self.prompt} kill -9 {' '.join(map(str, pids))}")
        for pid in pids:
            with suppress(ProcessLookupError):  # a worker may have gone with its host already
                os.kill(pid, signal.SIGKILL)
        self.kills += 1

    def bury(self) -> None:
        """Waits for the end of a host that was killed."""
        assert self.host is not None
        self.host.wait(PATIENCE_S)

    def processes(self) -> tuple[int, list[int]]:
        """The host's process and its workers'."""
        status = json.loads(self.read("status", "--json"))
        return status["pid"], [worker["pid"] for worker in status["workers"]]

    def send_in_background(self, cap: str, *options: str) -> subprocess.Popen[str]:
        """A `send` that reads the log from a pipe."""
        command = ["send", cap, "--lines", "-", *options]
        say(f"$ zcat logs/access.log.gz | avm-host {shlex.join(command)} &")
        sending = subprocess.Popen(
            [TOOL, *command],
            cwd=HERE,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self.others.append(sending)
        return sending

    def close(self) -> None:
        """Ends what still runs."""
        for process in [*self.others, self.host]:
            if process is not None and process.poll() is None:
                process.kill()
                process.wait(PATIENCE_S)


class Pipe:
    """The other end of a `send`, which hands the log over piece by piece."""

    def __init__(self, sending: subprocess.Popen[str], log: Sequence[str]) -> None:
        assert sending.stdin is not None
        self._stdin = sending.stdin
        self.log = log
        self._thread = Thread()
        self.given = 0

    def begin(self, end: int) -> None:
        """Hands over the lines up to `end`, and returns when half of them are on their way."""
        half = Event()
        lines, self.given = self.log[self.given : end], end
        self._thread = Thread(target=self._write, args=(lines, half), daemon=True)
        self._thread.start()
        half.wait(PATIENCE_S)

    def _write(self, lines: Sequence[str], half: Event) -> None:
        middle = len(lines) // 2
        try:
            self._stdin.writelines(lines[:middle])
            self._stdin.flush()
            half.set()
            self._stdin.writelines(lines[middle:])
            self._stdin.flush()
        except BrokenPipeError:  # The `send` was killed, and what it was not given is for nobody.
            half.set()
            with suppress(BrokenPipeError):
                self._stdin.close()

    def finish(self) -> None:
        """Waits until what was begun is handed over."""
        self._thread.join(PATIENCE_S)


def expected(lines: Iterable[str]) -> dict[str, int]:
    """How often each status stands in the log, counted without any host; odd lines are left out."""
    found: Counter[str] = Counter()
    for line in lines:
        parts = line.split('"')
        if len(parts) > 2 and len(parts[1].split()) == 3:
            status = parts[2].split()[0]
            if "100" <= status <= "599":
                found[status] += 1
    return dict(sorted(found.items()))


def lines_on_the_disk(terminal: Terminal, machine: str) -> int:
    """What a machine had counted by its last commit; needs no running host."""
    _name, fields = json.loads(terminal.read("state", machine, "--json"))["$record"]
    return int(fields["lines"])


def wait_until_counted(terminal: Terminal, cap: str, lines: int) -> None:
    """Asks until the machine has counted so many lines."""
    end = monotonic() + PATIENCE_S
    while terminal.ask(cap)["lines"] < lines:
        if monotonic() > end:
            raise DoesNotHold(f"{lines} lines were not counted in {PATIENCE_S:.0f} s")


def begin(terminal: Terminal) -> None:
    say("1. A host, and three machines: a counter, a mint of money, and one that reads web logs.\n")
    say(f"$ export AVM_HOST_DIR={terminal.directory}")
    terminal.start_host()
    for name in ("counter", "mint", "logstats"):
        terminal.type("create", f"{name}.py")
    terminal.type("call", "counter.add", "5")


def pay(terminal: Terminal) -> tuple[Any, Any]:
    """Two purses, and a payment from one to the other."""
    say("\n   A capability is a text. Who has it can use it; nobody can make one up.\n")
    mine = json.loads(terminal.type("call", "mint.issue", "100"))
    yours = terminal.ask(mine["$cap"], "sprout")
    paying = terminal.ask(yours["$cap"], {"amount": 30, "from": mine})
    check(paying == 30, "30 of the 100 were paid into a second purse")
    return mine, yours


def advance(terminal: Terminal, pipe: Pipe, cap: str, lines: int) -> None:
    """Hands over so many more lines: a first half is counted, the second is on its way."""
    goal = pipe.given + lines
    pipe.begin(goal - lines // 2)
    pipe.finish()
    wait_until_counted(terminal, cap, sum(expected(pipe.log[: pipe.given]).values()))
    pipe.begin(goal)


def crash(terminal: Terminal, pipe: Pipe, lines: int, whole: bool) -> None:
    """Kills in the midst of so many lines: the workers, or the host with them."""
    host, workers = terminal.processes()
    advance(terminal, pipe, "logstats.summary", lines)
    terminal.kill([host, *workers] if whole else workers)
    if whole:
        terminal.bury()
        counted = lines_on_the_disk(terminal, "logstats")
        say(f"  All dead. {counted:,} lines are counted on the disk, of the first {pipe.given:,}.")
        terminal.start_host()
    else:
        say("  The workers are dead. The host makes others, and takes their turns again.")
    pipe.finish()


def feed(terminal: Terminal, log: Sequence[str]) -> None:
    say(f"\n2. A log of {len(log):,} lines goes to logstats, in batches; five lines are odd.")
    say("   All is killed in the middle of it. Nobody tells the `send`: it comes back itself.\n")
    sending = terminal.send_in_background("logstats.line", "--json")
    pipe = Pipe(sending, log)
    for whole in (True, False, True, True):
        crash(terminal, pipe, len(log) // 5, whole)
    pipe.begin(len(log))
    pipe.finish()
    out, errors = sending.communicate(timeout=PATIENCE_S)
    say("\n   The log has ended, and so does the `send` that was begun before all this:\n")
    show(errors + out)
    summary = json.loads(out)
    check(sending.returncode == 1, "it ends with 1, since some lines were refused")
    check(summary["lines"] == len(log), f"it knows the outcome of all {len(log):,} lines")
    total = summary["committed"] + summary["refused"]
    check(total == len(log), f"{summary['committed']:,} counted + {summary['refused']} refused")


def compare(terminal: Terminal, machine: str, log: Sequence[str]) -> int:
    """Holds the machine's counts against the log itself."""
    summary = terminal.ask(f"{machine}.summary")
    right = expected(log)
    lines = int(summary["lines"])
    check(lines == sum(right.values()), f"{machine} has counted {lines:,} lines")
    claim = "as often as each status stands in the log: "
    check(summary["by_status"] == right, claim + ", ".join(f"{k} {v}" for k, v in right.items()))
    return lines


def resume(terminal: Terminal, log: Sequence[str]) -> None:
    say("\n3. Now the sender is killed too. With --resume the same command goes on where it was.\n")
    terminal.type("create", "logstats.py", "--name", "again", most=1)
    sending = terminal.send_in_background("again.line", "--resume", "nightly")
    pipe = Pipe(sending, log)
    host, workers = terminal.processes()
    advance(terminal, pipe, "again.summary", len(log) // 2)
    terminal.kill([sending.pid, host, *workers])
    sending.wait(PATIENCE_S)
    pipe.finish()
    terminal.bury()
    terminal.start_host()
    second = terminal.send_in_background("again.line", "--resume", "nightly", "--json")
    pipe = Pipe(second, log)
    pipe.begin(len(log))
    pipe.finish()
    out, errors = second.communicate(timeout=PATIENCE_S)
    show(errors + out)
    summary = json.loads(out)
    check(summary["skipped"] > 0, f"{summary['skipped']:,} lines were taken before, and skipped")
    compare(terminal, "again", log)


def look_back(terminal: Terminal) -> int:
    say("\n4. The journal has all of it, and the turns can be taken again, without effects.\n")
    terminal.type("log", "counter")
    say("$ avm-host log logstats --hashes | tail -3")
    show("\n".join(terminal.read("log", "logstats", "--hashes").splitlines()[-3:]))
    for name in ("logstats", "again", "mint", "counter"):
        printed = terminal.type("replay", name)
        check("every digest agrees" in printed, f"{name} does again what it did")
    terminal.type("verify")
    return sum(
        json.loads(terminal.read("replay", name, "--json"))["turns"]
        for name in ("logstats", "again")
    )


def run(terminal: Terminal) -> None:
    """The whole demonstration; raises DoesNotHold."""
    began = monotonic()
    log = gzip.decompress(LOG.read_bytes()).decode().splitlines(keepends=True)
    begin(terminal)
    mine, yours = pay(terminal)
    feed(terminal, log)
    lines = compare(terminal, "logstats", log)
    resume(terminal, log)
    turns = look_back(terminal)
    say("\n5. And what was there before the first kill is there still.\n")
    terminal.type("call", "counter.read")
    money = [terminal.ask(purse["$cap"]) for purse in (mine, yours)]
    check(terminal.ask("counter.read") == 5, "the counter stands at 5")
    check(money == [70, 30], f"the two purses hold {money[0]} and {money[1]}")
    terminal.type("stop")
    summarise(terminal, lines, len(log), turns, monotonic() - began)


def summarise(terminal: Terminal, lines: int, all_lines: int, turns: int, took_s: float) -> None:
    say(
        f"""
What you saw, in {took_s:.0f} seconds:

  kills with -9          {terminal.kills}, of hosts, workers and a sender, in the middle of the work
  lines sent             {all_lines:,}, twice: to a host that was killed, and by a sender that was
  counted, each time     {lines:,}, each exactly once; {all_lines - lines} were refused, and named
  lost, or doubled       none
  turns taken again      {turns:,}, every digest the same

Where next: README.md, docs/tutorial.md, examples/README.md"""
    )


def main() -> int:
    directory = Path(tempfile.mkdtemp(prefix="avm-demo-"))
    terminal = Terminal(directory)
    try:
        run(terminal)
    except (DoesNotHold, subprocess.TimeoutExpired) as error:
        say(
            f"\nThis does not hold: {error}\nThe host's directory is kept: {directory}, and its log beside it"
        )
        return 1
    finally:
        terminal.close()
    shutil.rmtree(directory)
    terminal.log.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
