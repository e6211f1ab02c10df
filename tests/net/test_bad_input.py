"""Bad steps and bad batches on a real host: each its verdict, and nothing else is disturbed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from avm.host.state import Status
from avm.past.reading import Reader
from avm.plugin.session import Client, OperatorRefused, address_in
from caps.capability import SealedCapability, parse_wire_untrusted
from caps.value import Failed
from tests.net.hosts import RunningHost
from tests.net.judge import judge

pytestmark = pytest.mark.net
SETTINGS = (
    "host.workers=2",
    "limits.turn_s=0.4",
    "limits.turn_tries=2",
    "limits.worker_bytes=268435456",
)
KEPT_WORKER: tuple[str, ...] = (
    "raise",
    "deep",
    "big",
    "object",
    "flood",
    "heavy",
    "recurse",
    "state",
    "leak",
)
KEPT_WORKER += ("exit", "pair", "generator")
LOST_WORKER = ("loop", "eat", "print")


class Scene:
    """A host with a machine that makes trouble, and a neighbour that counts."""

    def __init__(self, host: RunningHost) -> None:
        self.host = host
        self.client = host.client()
        self.trouble: Any = host.create(self.client, "trouble.py")
        self.neighbour: Any = host.create(self.client, "trouble.py", "neighbour")
        self.counted = 0

    def count(self) -> None:
        """The neighbour goes on as before."""
        self.counted += 1
        assert self.client.call(self.neighbour["count"], 1) == self.counted

    def total(self) -> int:
        """What the machine that makes trouble has counted."""
        found = self.client.call(self.trouble["read"])
        assert isinstance(found, int)
        return found

    def status(self) -> Any:
        return self.client.operate("status")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    host = RunningHost(tmp_path_factory.mktemp("bad"), SETTINGS)
    host.start()
    try:
        yield Scene(host)
        assert host.stop() == 0
        assert "Traceback" not in host.said(), host.said()
        judge(host.directory.store)
    finally:
        host.close()


@pytest.mark.parametrize("what", [*KEPT_WORKER, *LOST_WORKER])
def test_c03_a_step_that_misbehaves_has_its_batch_rejected_and_no_other(
    scene: Scene, what: str
) -> None:
    before = scene.total()
    failed = scene.status()["failed"]
    client = scene.client
    place = client.offer(scene.trouble["count"], 5)
    wrong = client.offer(scene.trouble[what], None, asks=True)
    ask = client.next_ask
    after = client.offer(scene.trouble["count"], 7)
    scene.count()
    client.wait(lambda: after in client.settled and client.outcomes[ask])
    scene.count()
    assert client.settled[place] == client.settled[after] == ["applied"]
    assert client.settled[wrong] == ["rejected", 0]
    assert client.outcomes[ask] == [Failed("rejected", "")]
    assert scene.total() == before + 12
    assert scene.status()["failed"] == failed + 1


@pytest.mark.parametrize("what", ["raise", "loop", "eat"])
def test_w02_a_batch_whose_fourth_message_fails_does_nothing(scene: Scene, what: str) -> None:
    client, trouble = scene.client, scene.trouble
    before = scene.total()
    ear = client.ear("ear")
    tell, bad = client.wire(trouble["tell"]), client.wire(trouble[what])
    body, wires = client.encode((ear, "said"))
    count = client.wire(trouble["count"])
    messages: list[list[Any]] = [[0, body, wires, None], [1, client.encode(1)[0], [], None]] * 2
    messages[3] = [2, client.encode(None)[0], [], None]
    place = client.offer_raw([tell, count, bad], [*messages, messages[0]])
    client.wait(lambda: place in client.settled)
    assert client.settled[place] == ["rejected", 3]
    assert scene.total() == before
    assert client.send(trouble["tell"], (ear, "heard")) == ["applied"]
    client.wait(lambda: client.heard)
    assert [content for _sender, _context, content in client.heard] == ["heard"]
    client.heard.clear()


def test_w02_a_refusal_tells_its_word_to_the_one_it_concerns(scene: Scene) -> None:
    client, trouble = scene.client, scene.trouble
    assert client.call(trouble["refuse"]) == Failed("refused", "no such thing")
    assert client.call(trouble["nothing"]) == Failed("refused", "")
    assert client.send(trouble["refuse"]) == ["refused", 0, "no such thing"]


def test_c06_what_broke_a_machine_is_set_aside_with_its_reason_and_can_be_dropped(
    host: RunningHost,
) -> None:
    host.settings.extend(SETTINGS)
    host.start()
    scene = Scene(host)
    client = scene.client
    for what in ("raise", "loop", "eat"):
        assert client.send(scene.trouble[what], "hello") == ["rejected", 0]
    assert host.stop() == 0
    judged = judge(host.directory.store)
    assert judged.left["failed"] == 3
    assert judged.forms["trouble"].count("failed") == 3
    host.start()
    client.connect()
    first = judged.forms["trouble"].index("failed")
    client.operate("drop", machine="trouble", turn=first)
    with pytest.raises(OperatorRefused, match="no failed batch at turn"):
        client.operate("drop", machine="trouble", turn=first)
    assert scene.status()["failed"] == 2
    scene.count()


def test_printing_much_is_cut_and_no_more(scene: Scene) -> None:
    assert scene.client.call(scene.trouble["chatter"]) == "printed"
    scene.count()


def test_a_state_too_large_fails_its_batch_and_leaves_the_state_as_it_was(scene: Scene) -> None:
    client, trouble = scene.client, scene.trouble
    before, failed = scene.total(), scene.status()["failed"]
    assert client.send(trouble["count"], 5) == ["applied"]
    assert client.call(trouble["huge"]) == Failed("rejected", "")
    assert scene.total() == before + 5
    assert scene.status()["failed"] == failed + 1
    with Reader.open(scene.host.directory) as reader:
        (*_, batch) = reader.failed(reader.machine("trouble"))
    assert "too large: the state: 68,157," in batch.detail
    scene.count()


# Capabilities.


def forged(wire: bytes) -> Iterator[bytes]:
    """The same capability with one bit of its context or proof flipped."""
    cap = parse_wire_untrusted(wire)
    assert isinstance(cap, SealedCapability)
    for part in (cap.proof, cap.sealed):
        for place in (0, len(part) // 2, len(part) - 1):
            flipped = bytes([*part[:place], part[place] ^ 1, *part[place + 1 :]])
            yield wire.replace(part, flipped)


def test_a_forged_capability_has_its_batch_rejected_and_says_no_more(scene: Scene) -> None:
    client = scene.client
    wire = client.wire(scene.trouble["count"])
    body, _wires = client.encode(1)
    before = scene.total()
    receiver = address_in(wire)
    other = client.wire(scene.neighbour["count"])
    for bad in (*forged(wire), wire[:-1], wire + b"x", b"", b"\xff" * 40, other):
        place = client.offer_raw([bad], [[0, body, [], None]], receiver=receiver)
        client.wait(lambda place=place: place in client.settled)  # type: ignore[misc]
        assert client.settled[place] == ["rejected", 0]
    assert scene.total() == before
    scene.count()


def test_a_forged_capability_within_a_message_rejects_its_batch(scene: Scene) -> None:
    client = scene.client
    ear = client.ear("forged")
    body, wires = client.encode((ear, "x"))
    for bad in forged(wires[0]):
        message = [0, body, [bad], None]
        place = client.offer_raw([client.wire(scene.trouble["tell"])], [message])
        client.wait(lambda place=place: place in client.settled)  # type: ignore[misc]
        assert client.settled[place] == ["rejected", 0]
    scene.count()


# Batches.


@pytest.mark.parametrize(("messages", "bytes_each"), [(10_001, 0), (6, 200_000)])
def test_a_batch_over_the_limits_is_told_so_and_its_number_is_free(
    scene: Scene, messages: int, bytes_each: int
) -> None:
    client = scene.host.client()
    content = "x" * bytes_each if bytes_each else 1
    verdict = client.send(
        client.hold(scene.client.wire(scene.trouble["count"])), *[content] * messages
    )
    assert verdict == ["too large"]
    client.close(ended=True)
    scene.count()


def test_w06_a_batch_just_within_the_limits_is_taken_whole(host: RunningHost) -> None:
    host.start()  # with the usual time for a turn
    scene = Scene(host)
    assert scene.client.send(scene.trouble["count"], *[1] * 10_000) == ["applied"]
    assert scene.total() == 10_000


NO_VALUES: tuple[bytes, ...] = (
    b"",
    b"\0\0",
    b"\xff",
    b"\x5f\x41a\xff",
    b"\x9f\xff",
    b"\xc0\0",
    b"\x78\2\xff\xfe",
)
NO_VALUES += (b"\x1b" + b"\xff" * 8, b"\x81" * 70 + b"\0", b"\x82\xd9\1\0\0\0", b"\xa2\1\1\1\2")


@pytest.mark.parametrize("body", NO_VALUES, ids=range(len(NO_VALUES)))
def test_a_content_that_is_no_value_is_rejected(scene: Scene, body: bytes) -> None:
    client = scene.client
    place = client.offer_raw([client.wire(scene.trouble["raise"])], [[0, body, [], None]])
    client.wait(lambda: place in client.settled)
    assert client.settled[place] == ["rejected", 0]
    scene.count()


# Operators and stores.


def test_the_operator_is_known_by_its_capability_alone(scene: Scene) -> None:
    client: Client = scene.host.client()
    good = scene.host.operator()
    other = scene.client.wire(scene.trouble["count"])
    for bad in (*forged(good), good[:-1], other, b""):
        client.say([5, 1, bad, "stop", {}])
        client.wait(lambda: 1 in client._requests)
        kind, code, text = client._requests.pop(1)
        assert (kind, code) == (5, 1) and "operator" in text
    client.close(ended=True)
    scene.count()


def test_a_flipped_byte_in_the_middle_of_the_store_is_named(host: RunningHost) -> None:
    host.start()
    scene = Scene(host)
    for _ in range(40):
        scene.count()
    assert host.stop() == 0
    body = bytearray(host.directory.store.read_bytes())
    place = body.index(b"neighbour", 4096)
    body[place + 3] ^= 0x10
    host.directory.store.write_bytes(bytes(body))
    host.start()
    assert host.exit_code() == 5
    last = host.said().splitlines()[-1]
    assert "damaged" in last and "store.db" in last
    assert "Traceback" not in host.said()


def test_a_store_of_a_newer_version_is_refused_in_one_line(host: RunningHost) -> None:
    host.start()
    assert host.stop() == 0
    body = bytearray(host.directory.store.read_bytes())
    body[60:64] = (999).to_bytes(4, "big")
    host.directory.store.write_bytes(bytes(body))
    host.start()
    assert host.exit_code() == 5
    assert "newer" in host.said().splitlines()[-1]
    assert "Traceback" not in host.said()


def test_a_second_host_in_one_directory_is_refused(host: RunningHost, tmp_path: Path) -> None:
    host.start()
    scene = Scene(host)
    second = RunningHost(tmp_path)
    second.start()
    assert second.exit_code() == 1
    assert f"in use by pid {host.pid}" in second.said()
    scene.count()


def test_a_flipped_byte_in_a_journal_suspends_its_machine_and_nothing_else(
    host: RunningHost,
) -> None:
    host.start()
    scene = Scene(host)
    hoard: Any = host.create(scene.client, "hoard.py")
    for word in ("one", "a marked word", "three"):
        assert scene.client.send(hoard["put"], word) == ["applied"]
    assert host.stop() == 0
    body = host.directory.store.read_bytes()
    assert body.count(b"a marked word") == 1
    host.directory.store.write_bytes(body.replace(b"a marked word", b"a harked word"))
    host.start()
    scene.client.connect()
    receiver, seq = scene.client.offer(hoard["put"], "four")
    scene.client.wait(lambda: seq in scene.client.senders[receiver].held)
    scene.count()
    reader = Reader.open(host.directory)
    with reader:
        machine = reader.machine("hoard")
        assert machine.status is Status.SUSPENDED and "damaged" in machine.why
        assert "turn 2" in machine.why or "journal" in machine.why
