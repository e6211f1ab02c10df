"""The loader: a bundle's modules, run in a worker into code of a machine.

Step 4 of the journey, before its first turn there. Each version of the code has modules of its
own, never in `sys.modules`; imports are guarded when they run, those inside functions too.
"""

import builtins
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from traceback import format_exception_only
from types import CodeType, ModuleType, TracebackType
from typing import Any, NamedTuple

from avm.machine.allowed import OURS, refusal, within_patterns
from avm.machine.builtin import ImportRefused, NotAllowed, Printed, builtins_of, face_of
from avm.machine.bundle import (
    EXPECTATION,
    MACHINE,
    Bundle,
    BundleRefused,
    Purpose,
    Source,
)
from avm.machine.raised import RAISED, is_interrupt
from avm.message import Event, Message

PRINTED_BYTES_MAX = 64 * 1024
NO_NAME = re.compile(r"cannot import name '(?P<name>\w+)' from '(?P<package>[\w.]+)'")


# Without any of these in its source a step makes nothing of a kind, and is not looked after for it.
KIND_WORDS = ("Linear", "Affine", "Relevant", "kind", "patterns")


class Code:
    """A loaded bundle: what a machine's file defines, and every record class by its name."""

    __slots__ = ("_printed", "init", "makes_kinds", "migrate", "records", "signal", "step")

    def __init__(
        self, defined: Mapping[str, Any], records: dict[str, type], printed: Printed
    ) -> None:
        self.step: Callable[[Message, Any], Any] = defined["step"]
        self.init: Callable[[Message, Any], Any] = defined["init"]
        self.signal: Callable[[Event, Any], Any] | None = defined.get("signal")
        self.migrate: Callable[[Any], Any] | None = defined.get("migrate")
        self.records = records
        self.makes_kinds = True
        self._printed = printed

    def printed(self) -> str:
        """What was printed since the last call."""
        return self._printed.drain()


class Expectation(NamedTuple):
    """A loaded expectation: its function, and what that printed."""

    expect: Callable[..., Any]
    printed: Printed


def load(bundle: Bundle, printed_bytes: int = PRINTED_BYTES_MAX) -> Code:
    """Runs a bundle's modules; raises `BundleRefused` with one line where they do not load."""
    modules, printed = _run(bundle, MACHINE, printed_bytes)
    entry = vars(modules.table[bundle.entry])
    for name in ("signal", "migrate"):
        if not callable(entry.get(name, len)):
            raise BundleRefused(f"{modules.path(bundle.entry)}: `{name}` is no function")
    code = Code(entry, _records(modules), printed)
    code.makes_kinds = any(word in one.text for one in bundle.files for word in KIND_WORDS)
    return code


def load_expectation(bundle: Bundle, printed_bytes: int = PRINTED_BYTES_MAX) -> Expectation:
    """Runs an expectation's modules; raises `BundleRefused` with one line where they do not load."""
    modules, printed = _run(bundle, EXPECTATION, printed_bytes)
    return Expectation(vars(modules.table[bundle.entry])["expect"], printed)


def _run(bundle: Bundle, purpose: Purpose, printed_bytes: int) -> tuple["_Modules", Printed]:
    """Runs all modules of a bundle; the entry defines what it is for."""
    printed = Printed(printed_bytes)
    modules = _Modules(bundle, printed)
    for name in (bundle.entry, *(source.name for source in bundle.files)):
        modules.run(name)
    printed.drain()
    entry = vars(modules.table[bundle.entry])
    for name, _parameters in purpose.functions:
        if not callable(entry.get(name)):
            raise BundleRefused(f"{modules.path(bundle.entry)}: has no function `{name}`")
    return modules, printed


def _records(modules: "_Modules") -> dict[str, type]:
    """All classes that are records, by name; two of one name are refused."""
    found: dict[str, tuple[type, str]] = {}
    for module in modules.table.values():
        for name, value in vars(module).items():
            if not isinstance(value, type) or "__record_name__" not in vars(value):
                continue
            record = str(vars(value)["__record_name__"])
            place = f"{modules.path(module.__name__)}: {name}"
            known, before = found.setdefault(record, (value, place))
            if known is not value:
                why = f"a record named '{record}' as well: give one of them @record(name=...)"
                raise BundleRefused(f"{place} and {before} both make {why}")
    return {record: value for record, (value, _) in found.items()}


class _Lines:
    """Gives tracebacks the lines of a bundle."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources

    def get_source(self, name: str) -> str | None:
        source = self._sources.get(name)
        return source.text if source else None


class _Modules:
    """The modules of one version of a machine's code."""

    def __init__(self, bundle: Bundle, printed: Printed) -> None:
        self.table: dict[str, ModuleType] = {}
        self._sources = {source.name: source for source in bundle.files}
        self._tops = {name.partition(".")[0] for name in self._sources}
        self._version = bundle.hash.hex()[:8]
        self._lines = _Lines(self._sources)
        self._faces: dict[str, ModuleType] = {}
        self._builtins = builtins_of(printed, self._import)

    def path(self, name: str) -> str:
        """Where a module of the bundle stands in the machine's directory."""
        return self._sources[name].path

    def run(self, name: str) -> None:
        """Runs a module of the bundle unless it has run; raises `BundleRefused`."""
        try:
            self._find(name)
        except BundleRefused:
            raise
        except RAISED as error:  # the machine's own code
            if is_interrupt(error):
                raise
            place = self._place(error.__traceback__) or self.path(name)
            why = _said(error).rstrip() + self._absent(error)
            raise BundleRefused(" ".join(f"{place}: {why}".split())) from None

    def _absent(self, error: BaseException) -> str:
        """That a name is no file either, where a package of the machine's own has none of it."""
        found = NO_NAME.fullmatch(str(error)) if type(error) is ImportError else None
        source = self._sources.get(found["package"]) if found else None
        if found is None or source is None or not source.package:
            return ""
        file = f"{source.name}.{found['name']}".replace(".", "/") + ".py"
        return f", and there is no {file} beside the machine's file"

    def _place(self, trace: TracebackType | None) -> str:
        """The last line of the bundle's own in a traceback."""
        place = ""
        paths = {self._filename(source): source.path for source in self._sources.values()}
        while trace:
            path = paths.get(trace.tb_frame.f_code.co_filename)
            if path:
                place = f"{path}:{trace.tb_lineno}"
            trace = trace.tb_next
        return place

    def _filename(self, source: Source) -> str:
        return f"{source.path} ({self._version})"

    def _find(self, name: str) -> ModuleType:
        """A module of the bundle, after its packages."""
        if name in self.table:
            return self.table[name]
        parent = name.rpartition(".")[0]
        package = self._find(parent) if parent else None
        if name in self.table:
            return self.table[name]
        source = self._sources[name]
        module = self._made(source)
        self.table[name] = module
        if package is not None:
            setattr(package, name.rpartition(".")[2], module)
        try:
            exec(self._compiled(source), vars(module))  # noqa: S102 it is the machine's
        except BaseException:
            del self.table[name]
            raise
        return module

    def _made(self, source: Source) -> ModuleType:
        module = ModuleType(source.name)
        vars(module).update(
            __builtins__=self._builtins,
            __file__=source.path,
            __loader__=self._lines,
            __package__=source.name if source.package else source.name.rpartition(".")[0],
        )
        return module

    def _compiled(self, source: Source) -> CodeType:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return compile(source.text, self._filename(source), "exec", dont_inherit=True)
            except (SyntaxError, ValueError, RecursionError) as error:
                line = getattr(error, "lineno", None) or 1
                why = getattr(error, "msg", None) or str(error)
                raise BundleRefused(f"{source.path}:{line}: does not parse: {why}") from None

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: object = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Stands in the place of `__import__` for the bundle's modules."""
        if type(fromlist) is list:  # the interpreter's own, as for strftime; no statement's
            return builtins.__import__(name)
        absolute = _absolute(name, globals or {}, level)
        wanted = tuple(fromlist or ())
        if self._is_own(absolute):
            return self._import_own(absolute, wanted, level)
        return self._import_face(absolute, wanted)

    def _is_own(self, name: str) -> bool:
        top = name.partition(".")[0]
        return top in self._tops and (top not in OURS or name == top or within_patterns(name))

    def _import_own(self, name: str, wanted: tuple[str, ...], level: int) -> ModuleType:
        if name not in self._sources:
            raise ImportRefused(f"there is no module `{name}` beside the machine's file")
        module = self._find(name)
        if not wanted and not level:
            return self.table[name.partition(".")[0]]
        if wanted == ("*",):
            wanted = tuple(getattr(module, "__all__", ()))
        for one in wanted:
            if not hasattr(module, one):
                if f"{name}.{one}" not in self._sources:
                    raise ImportError(f"cannot import name '{one}' from '{name}'")
                self._find(f"{name}.{one}")
        return module

    def _import_face(self, name: str, wanted: tuple[str, ...]) -> ModuleType:
        face = self._face(name)
        if face is None:
            statement = f"from {name} import {', '.join(wanted)}" if wanted else f"import {name}"
            raise ImportRefused(refusal(statement, name))
        for one in wanted:
            if one != "*" and not hasattr(face, one):
                raise ImportRefused(f"cannot import name '{one}' from '{name}' in a step")
        return face if wanted or "." not in name else self._faces[name.partition(".")[0]]

    def _face(self, name: str) -> ModuleType | None:
        if name not in self._faces:
            face = face_of(name)
            if face is None:
                return None
            self._faces[name] = face
            if name == "collections":
                vars(face)["abc"] = self._face("collections.abc")
            elif name == "collections.abc":
                self._face("collections")
        return self._faces[name]


def _said(error: BaseException) -> str:
    """The error in words, though its own text may raise again."""
    if isinstance(error, NotAllowed):
        return str(error)
    return "".join(format_exception_only(error))


def _absolute(name: str, globals: Mapping[str, Any], level: int) -> str:
    if level == 0:
        return name
    parts = str(globals.get("__package__", "")).split(".")
    if parts == [""] or level > len(parts):
        raise ImportRefused("a relative import reaches outside the machine's directory")
    base = parts[: len(parts) - level + 1]
    return ".".join([*base, name] if name else base)
