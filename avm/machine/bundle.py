"""Code bundles: a machine's file with every module of its directory, and pattern, that it imports.

Before the journey: `collect` makes the bundle that is stored by its hash, and that a worker loads.
Files are read through a function that the caller gives, patterns out of the release; no code of the
machine is run.
"""

import hashlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import avm
from avm.errors import AvmError
from avm.machine.allowed import OURS, PATTERNS, absence, hidden, permitted, refusal, within_patterns
from avm.machine.library import source_of
from avm.machine.source import Import, NotParsed, Parsed, parse
from caps.codec import dumps_plain, loads_plain_untrusted
from caps.errors import Malformed

FORMAT = 1
SOURCE_BYTES_MAX = 1024 * 1024
FILES_MAX = 1000
ENCODED_BYTES_MAX = 2 * SOURCE_BYTES_MAX

Read = Callable[[str], bytes | None]


class Purpose(NamedTuple):
    """What a file is to be, and the functions that it has to define, with their parameters."""

    what: str
    functions: tuple[tuple[str, str], ...]


MACHINE = Purpose("a machine", (("step", "message, state"), ("init", "message, me")))
EXPECTATION = Purpose("an expectation", (("expect", "state"),))


class BundleRefused(AvmError):
    """The file is no machine: the text is one line with the place and what to do."""


class Source(NamedTuple):
    """A module of a bundle: its dotted name, whether it is a package, its text."""

    name: str
    package: bool
    text: str

    @property
    def path(self) -> str:
        """Where it stands in the machine's directory."""
        stem = self.name.replace(".", "/")
        return f"{stem}/__init__.py" if self.package else f"{stem}.py"

    @property
    def within(self) -> str:
        """The package that its relative imports begin at."""
        return self.name if self.package else self.name.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A machine's code: the entry module's name, Python's minor version, all modules by name."""

    entry: str
    minor: str
    files: tuple[Source, ...]

    def encode(self) -> bytes:
        """The canonical bytes, which `decode` takes back."""
        files = [[name, package, text] for name, package, text in self.files]
        return dumps_plain([FORMAT, self.entry, self.minor, files])

    @property
    def hash(self) -> bytes:
        """BLAKE2b-256 of the canonical bytes, with a domain of its own."""
        return hashlib.blake2b(self.encode(), digest_size=32, person=b"avm code").digest()


def decode(body: bytes) -> Bundle:
    """Takes back what `encode` gave; raises `Malformed` for anything else."""
    match loads_plain_untrusted(body, max_bytes=ENCODED_BYTES_MAX):
        case [version, str(entry), str(minor), [*rows]] if (
            type(version) is int and version == FORMAT
        ):
            files = tuple(_source(row) for row in rows)
        case _:
            raise Malformed("not a code bundle of this version")
    names = [source.name for source in files]
    if names != sorted(set(names)) or entry not in names:
        raise Malformed("a code bundle's modules are out of order, or its entry is missing")
    return Bundle(entry, minor, files)


def _source(row: object) -> Source:
    match row:
        case [str(name), bool(package), str(text)]:
            return Source(name, package, text)
    raise Malformed("not a module of a code bundle")


def collect(path: str, read: Read, purpose: Purpose = MACHINE) -> Bundle:
    """Bundles FILE with what it imports; `read` gives a file's bytes, or None where there is none.

    Raises `BundleRefused`, with one line that says what is wrong and where.
    """
    directory, slash, file = path.rpartition("/")
    entry = file.removesuffix(".py")
    if entry == file or not entry or "." in entry:
        raise BundleRefused(f"{path}: {purpose.what} is a Python file, NAME.py")
    if hidden(entry):
        raise BundleRefused(f"{path}: the name hides the module `{entry}`: rename the file")
    collector = _Collector(directory + slash, file, read, purpose)
    main = collector.locate(entry, package=False)
    if main is None:
        raise BundleRefused(f"{path}: there is no such file")
    collector.add_all(main)
    files = sorted(collector.found.values())
    return Bundle(entry, f"{sys.version_info[0]}.{sys.version_info[1]}", tuple(files))


def absent(bundle: Bundle) -> Iterator[tuple[str, int, str]]:
    """Imports inside functions of files that there are not: path, line, and why each will fail."""
    parts = [source.name.split(".") for source in bundle.files]
    there = {".".join(one[:count]) for one in parts for count in range(1, len(one) + 1)}
    for source in bundle.files:
        for wanted in parse(source.text, source.within).imports:
            top = wanted.module.partition(".")[0]
            is_own = wanted.later and not wanted.outside and not hidden(top)
            if is_own and wanted.module not in there:
                why = absence(wanted.statement, wanted.module, is_within=top in there)
                yield source.path, wanted.line, why


class _Collector:
    """Follows imports from file to file."""

    def __init__(self, directory: str, file: str, read: Read, purpose: Purpose) -> None:
        self._directory = directory
        self._file = file
        self._read = read
        self._purpose = purpose
        self._seen: dict[str, Source | None] = {}
        self._bytes = 0
        self.found: dict[str, Source] = {}

    def add_all(self, main: Source) -> None:
        """Adds the machine's file and everything that is reached from it."""
        waiting = [main]
        self.found[main.name] = main
        while waiting:
            source = waiting.pop()
            parsed = self._parse(source)
            if source is main:
                self._check_main(source, parsed)
            for wanted in parsed.imports:
                for target in self._targets(source, wanted):
                    if target.name not in self.found:
                        self.found[target.name] = target
                        waiting.append(target)
                if len(self.found) > FILES_MAX:
                    raise self._refused(source, 0, f"imports more than {FILES_MAX} files")

    def locate(self, name: str, *, package: bool = True) -> Source | None:
        """The module of this dotted name in the directory, or None."""
        if name not in self._seen:
            self._seen[name] = self._look(name, package)
        return self._seen[name]

    def _look(self, name: str, package: bool) -> Source | None:
        if name.partition(".")[0] in OURS:
            found = source_of(name)
            if found is None:
                return None
            source = Source(name, found[0], "")
            return source._replace(text=self._text(source, found[1]))
        for kind in (True, False):
            source = Source(name, kind, "")
            body = self._read(self._directory + source.path) if package or not kind else None
            if body is not None:
                return source._replace(text=self._text(source, body))
        return None

    def _text(self, source: Source, body: bytes) -> str:
        self._bytes += len(body)
        if self._bytes > SOURCE_BYTES_MAX:
            why = f"too large: a machine's files are at most {SOURCE_BYTES_MAX} bytes together"
            raise self._refused(source, 0, why)
        try:
            return body.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = body.count(b"\n", 0, error.start) + 1
            raise self._refused(source, line, "is not UTF-8 text") from None

    def _parse(self, source: Source) -> Parsed:
        try:
            return parse(source.text, source.within)
        except NotParsed as error:
            raise self._refused(source, error.line, error.why) from None

    def _check_main(self, source: Source, parsed: Parsed) -> None:
        for name, parameters in self._purpose.functions:
            if name in parsed.coroutines:
                line = parsed.coroutines[name]
                raise self._refused(source, line, f"`{name}` is async: a step never waits")
            if name not in parsed.bound and not parsed.star:
                raise self._refused(source, 0, f"has no `{name}`: add `def {name}({parameters})`")

    def _targets(self, source: Source, wanted: Import) -> list[Source]:
        """The bundle's own modules that an import reaches; refuses it when it may not be.

        One inside a function is refused where it takes place: there it fails its batch.
        """
        if wanted.outside and wanted.later:
            return []
        if wanted.outside:
            why = f"`{wanted.statement}` reaches outside the directory: import the file by its name"
            raise self._refused(source, wanted.line, why)
        top = wanted.module.partition(".")[0]
        if hidden(top):
            if not wanted.later:
                self._check_permitted(source, wanted)
            if top in OURS:
                return self._own(wanted)
            hiding = self.locate(top)
            if hiding:
                why = f"hides Python's own module `{top}`, which is imported: rename it"
                raise self._refused(hiding, 0, why)
            return []
        own = self._own(wanted)
        if not own and not wanted.later:
            is_within = self.locate(top) is not None
            why = absence(wanted.statement, wanted.module, is_within=is_within)
            raise self._refused(source, wanted.line, why)
        return own

    def _own(self, wanted: Import) -> list[Source]:
        parts = wanted.module.split(".")
        chain = [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
        names = [f"{wanted.module}.{name}" for name in wanted.names if name != "*"]
        hits = [self.locate(name) for name in [*chain, *names]]
        last = max((index for index, hit in enumerate(hits) if hit), default=-1)
        if last < len(chain) - 1:
            return []
        implied = [Source(name, True, "") for name in chain]
        return [hit or plain for hit, plain in zip(hits, implied, strict=False)] + [
            hit for hit in hits[len(chain) :] if hit
        ]

    def _check_permitted(self, source: Source, wanted: Import) -> None:
        module = wanted.module
        if module == "caps" and wanted.names and set(wanted.names) <= {"patterns"}:
            module = PATTERNS
        if not permitted(module):
            raise self._refused(source, wanted.line, refusal(wanted.statement, module))
        if within_patterns(module) and self.locate(module) is None:
            raise self._refused(source, wanted.line, f"there is no pattern `{module}`")
        for name in wanted.names:
            if module == "avm" and name not in (*avm.__all__, "*"):
                why = f"`{wanted.statement}` is not allowed in a step: avm has no {name} for it"
                raise self._refused(source, wanted.line, why)

    def _refused(self, source: Source, line: int, why: str) -> BundleRefused:
        place = self._directory + source.path
        return BundleRefused(f"{place}:{line}: {why}" if line else f"{place}: {why}")
