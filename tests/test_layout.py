"""The floors of the house: imports only downwards, no circles, pure cores that import no world."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("caps", "dht", "avm")
MAP = ROOT / "avm" / "README.md"
WORLD = {"trio", "socket", "time", "random", "os", "pathlib", "logging", "sqlite3", "apsw"}
WORLD |= {"subprocess", "threading", "asyncio", "secrets", "tempfile", "select", "signal"}
WORLD |= {"kademlia"}

# Who may import whom, by room, the lowest floor first; a room may import its own and lower floors.
# A room within a room has its own floor: `caps.patterns` is code of machines, written in the step's face.
FLOORS = [
    ("caps",),
    ("dht",),
    (
        "avm.errors",
        "avm.limits",
        "avm.version",
        "avm.graph",
        "avm.message",
        "avm.cases",
        "avm.near",
        "avm",
    ),
    ("caps.patterns",),
    ("avm.machine",),
    ("avm.host",),
    ("avm.store", "avm.link", "avm.nat", "avm.recording", "avm.authority"),
    ("avm.sim",),
    ("avm.testing",),
    ("avm.kit",),
    ("avm.run",),
    ("avm.past",),
    ("avm.cli",),
    ("avm.plugin",),
]
PURE: tuple[str, ...] = (
    "caps",
    "dht",
    "avm.message",
    "avm.limits",
    "avm.graph",
    "avm.cases",
    "avm.near",
    "avm.authority",
    "avm.host",
    "avm.link",
    "avm.nat",
    "avm.recording",
    "avm.sim",
    "avm.past.paths",
    "avm.past.solo",
    "avm.past.trails",
    "avm.machine.turn",
    "avm.machine.live",
    "avm.machine.inside",
    "avm.testing",
    "avm.kit",
    "avm.past.candidate",
    "avm.past.numbering",
)
IMPURE = ("dht.udp", "avm.link.segments", "avm.link.udp", "avm.testing.files", "avm.sim.disk")
# Its modules read the clock and import asyncio: these two take its classes and override what does.
KADEMLIA = ("dht.contact", "dht.table")


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(p): p for package in PACKAGES for p in sorted((ROOT / package).rglob("*.py"))}


def within(name: str, room: str) -> bool:
    if room == "avm":
        return name == "avm"
    return name == room or name.startswith(room + ".")


def floor_of(name: str) -> int:
    rooms = {room: floor for floor, inner in enumerate(FLOORS) for room in inner}
    matches = [room for room in rooms if within(name, room)]
    assert matches, f"{name} has no floor: give it one in FLOORS"
    return rooms[max(matches, key=len)]


def imports_of(name: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            module = node.module or ""
            children = {f"{module}.{alias.name}" for alias in node.names}
            submodules = children & MODULES.keys()
            found |= submodules
            if len(submodules) < len(children):
                found.add(module)
    return found


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_only_downwards(name: str) -> None:
    for target in imports_of(name) & MODULES.keys():
        assert floor_of(target) <= floor_of(name), f"{name} imports upwards: {target}"


@pytest.mark.parametrize("name", [n for n in MODULES if any(within(n, p) for p in PURE)])
def test_pure_rooms_import_no_world(name: str) -> None:
    if name in IMPURE:
        return
    found = {target.split(".")[0] for target in imports_of(name)} & WORLD
    if name in KADEMLIA:
        found -= {"kademlia"}
    assert not found, f"{name} is a pure room and imports {sorted(found)}"


def test_there_are_no_circles() -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, "a circle: " + " -> ".join([*path, name])
        if name in done:
            return
        for target in sorted(imports_of(name) & MODULES.keys()):
            visit(target, (*path, name))
        done.add(name)

    for name in MODULES:
        visit(name, ())


def test_imports_stand_at_the_top() -> None:
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                inner = [n for n in ast.walk(node) if isinstance(n, ast.Import | ast.ImportFrom)]
                assert not inner, f"{name}: import inside {node.name}"


@pytest.mark.parametrize("room", ["host", "run", "past"])
def test_the_map_of_the_rooms_names_each_file_once(room: str) -> None:
    named = re.findall(rf"^- \[(\w+)\]\({room}/\1\.py\): .+\.$", MAP.read_text(), re.MULTILINE)
    files = {path.stem for path in (ROOT / "avm" / room).glob("*.py")} - {"__init__"}
    assert sorted(named) == sorted(files)
