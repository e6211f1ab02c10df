"""What is on a disk for certain, what may be, and what is left of it when the power goes. Pure.

Beside the journey, for simulations. A file's name and what stands in the file last on their own:
names once their directory is synchronised, bytes once their file is. `Model` follows both; a copy
of it is the disk at one moment, and `Image.left(fate, seed)` is one of the disks that may be found
after a crash at that moment. All paths are relative to the disk's root, with `/` between names.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from avm.sim.entropy import Entropy

SECTOR_BYTES: Final = 512
"""What a disk writes whole or not at all."""
VERSIONS_KEPT: Final = 4
"""Earlier contents of a file that a stale read may give."""

Fate = Literal["lost", "kept", "prefix", "reordered", "torn"]
FATES: Final[tuple[Fate, ...]] = ("lost", "kept", "prefix", "reordered", "torn")
"""Of all that is not synchronised: nothing is left; all; what was written first, up to a sector;
some whole writes and names and not others; some sectors and names and not others."""


class Write(NamedTuple):
    """Bytes at an offset; or a truncation to `offset` when `cuts`."""

    when: int
    offset: int
    body: bytes
    cuts: bool = False


class Renaming(NamedTuple):
    """Names that come and go together in one directory; None is gone."""

    when: int
    directory: str
    names: "tuple[tuple[str, Node | None], ...]"


@dataclass(slots=True, eq=False)
class Node:
    """A file, whatever its name, or a directory: what is durable, and what was written since."""

    durable: bytes = b""
    directory: bool = False
    pending: list[Write] = field(default_factory=list)
    before: tuple[bytes, ...] = ()

    def sync(self) -> None:
        """What was written is durable."""
        if self.pending:
            content = bytearray(self.durable)
            for write in self.pending:
                apply(content, write)
            self.before = (self.durable, *self.before[: VERSIONS_KEPT - 1])
            self.durable = bytes(content)
            self.pending = []


def apply(content: bytearray, write: Write) -> None:
    """Carries a write out."""
    if write.cuts:
        del content[write.offset :]
        content.extend(bytes(write.offset - len(content)))
    else:
        content.extend(bytes(max(0, write.offset - len(content))))
        content[write.offset : write.offset + len(write.body)] = write.body


def sectors(write: Write) -> Iterator[Write]:
    """The pieces of a write that the disk writes one by one."""
    if write.cuts:
        yield write
        return
    at, end = write.offset, write.offset + len(write.body)
    while at < end:
        stop = min((at // SECTOR_BYTES + 1) * SECTOR_BYTES, end)
        yield Write(write.when, at, write.body[at - write.offset : stop - write.offset])
        at = stop


class Model:
    """The disk as it changes: durable names, names that are not yet, and the files."""

    def __init__(self, files: dict[str, bytes], directories: set[str]) -> None:
        """`files` and `directories` are there and durable; the root is `""`."""
        self.durable: dict[str, Node] = {
            **{path: Node(directory=True) for path in directories},
            **{path: Node(body) for path, body in files.items()},
        }
        self.names = dict(self.durable)
        self.pending: list[Renaming] = []
        self.clock = 0

    def rename(self, directory: str, *names: tuple[str, Node | None]) -> None:
        """Names come and go."""
        self.clock += 1
        self.pending.append(Renaming(self.clock, directory, names))
        _renamed(self.names, names)

    def write(self, node: Node, offset: int, body: bytes, cuts: bool = False) -> None:
        """Bytes are written, or a file is cut, and nothing is durable yet."""
        self.clock += 1
        node.pending.append(Write(self.clock, offset, body, cuts))

    def sync_directory(self, directory: str) -> None:
        """The names in a directory are durable."""
        for one in self.pending:
            if one.directory == directory:
                _renamed(self.durable, one.names)
        self.pending = [one for one in self.pending if one.directory != directory]

    def image(self) -> "Image":
        """The disk at this moment."""
        every = {id(node): node for node in self.names.values()}
        every |= {id(node): node for node in self.durable.values()}
        every |= {id(n): n for one in self.pending for _, n in one.names if n is not None}
        nodes = {key: (node.durable, tuple(node.pending)) for key, node in every.items()}
        return Image(dict(self.durable), tuple(self.pending), nodes, every)


def _renamed(into: dict[str, Node], names: tuple[tuple[str, Node | None], ...]) -> None:
    for path, node in names:
        if node is None:
            into.pop(path, None)
        else:
            into[path] = node


@dataclass(frozen=True, slots=True)
class Left:
    """A disk after a crash: what stands in each file, and which directories there are."""

    files: dict[str, bytes]
    directories: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """The disk at one moment; it does not change with the disk."""

    durable: dict[str, Node]
    pending: tuple[Renaming, ...]
    nodes: dict[int, tuple[bytes, tuple[Write, ...]]]
    alive: dict[int, Node]

    def prefixes(self) -> int:
        """How many seeds of the fate "prefix" differ: one for each thing not yet durable."""
        return len(self.pending) + sum(len(pending) for _, pending in self.nodes.values())

    def left(self, fate: Fate, seed: int = 0) -> Left:
        """What may be found after a crash; for "prefix" the seed says how many things survive."""
        keeps = _Keeps(fate, seed, self)
        names = dict(self.durable)
        for one in self.pending:
            if keeps.name(one):
                _renamed(names, one.names)
        files: dict[str, bytes] = {}
        directories = {path for path, node in names.items() if node.directory}
        for path in sorted(names):
            if names[path].directory or not _reached(path, directories):
                continue
            content, pending = self.nodes[id(names[path])]
            survived = [piece for write in pending for piece in keeps.pieces(write)]
            if survived:
                changed = bytearray(content)
                for piece in survived:
                    apply(changed, piece)
                content = bytes(changed)
            files[path] = content
        reached = frozenset(path for path in directories if _reached(path, directories))
        return Left(files, reached)

    def model(self) -> Model:
        """The disk of a system that goes on when only its processes died."""
        model = Model({}, set())
        again = {
            key: Node(durable, self.alive[key].directory, list(pending), self.alive[key].before)
            for key, (durable, pending) in self.nodes.items()
        }
        model.durable = {path: again[id(node)] for path, node in self.durable.items()}
        model.pending = [
            one._replace(names=tuple((p, n and again[id(n)]) for p, n in one.names))
            for one in self.pending
        ]
        model.names = dict(model.durable)
        for one in model.pending:
            _renamed(model.names, one.names)
        writes = [w.when for _, pending in self.nodes.values() for w in pending]
        model.clock = max([*writes, *(one.when for one in self.pending)], default=0)
        return model


def _reached(path: str, directories: set[str]) -> bool:
    above = path.rpartition("/")[0]
    return not above or (above in directories and _reached(above, directories))


class _Keeps:
    """What of one crash survives, from its fate and seed."""

    def __init__(self, fate: Fate, seed: int, image: Image) -> None:
        self._fate = fate
        self._entropy = Entropy(seed)
        self._share = self._entropy.choice((25, 128, 230, 253))
        self._last = 0
        if fate == "prefix":
            writes = [w.when for _, pending in image.nodes.values() for w in pending]
            times = sorted([*writes, *(one.when for one in image.pending)])
            self._last = times[seed % len(times)] if times else 0

    def _chance(self) -> bool:
        return self._entropy.bytes(1)[0] < self._share

    def name(self, one: Renaming) -> bool:
        match self._fate:
            case "lost" | "kept":
                return self._fate == "kept"
            case "prefix":
                return one.when <= self._last
            case _:
                return self._chance()

    def pieces(self, write: Write) -> Iterator[Write]:
        match self._fate:
            case "lost":
                return
            case "kept":
                yield write
            case "reordered":
                if self._chance():
                    yield write
            case "prefix":
                if write.when < self._last:
                    yield write
                elif write.when == self._last:
                    # The last of them ends at a sector.
                    parts = list(sectors(write))
                    yield from parts[: self._entropy.below(len(parts)) + 1] if parts else ()
            case "torn":
                parts = list(sectors(write))
                drawn = self._entropy.bytes(len(parts))
                yield from (p for p, n in zip(parts, drawn, strict=True) if n < self._share)
