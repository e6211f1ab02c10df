"""Contents and contexts to probe a step with, found in the cases it is written in. Pure.

Before the journey. A case says what it takes; what is made here fits the patterns, and a few
values fit nothing, as what strangers send does.
"""

import ast
from collections.abc import Iterator, Mapping

from caps.slots import Foreign
from caps.value import Failed

SAMPLES_MAX = 48
DEPTH_MAX = 4
TEXTS = ("alpha", "beta", "gamma", "delta")
COMMON: tuple[object, ...] = (
    *(None, 0, 7, True, 1.5, *TEXTS, b"bytes", (), ("b", "a", "c"), {"b": 1, "a": 2}),
    *(Failed("late"), Foreign(0)),
)
BY_CLASS: dict[str, tuple[object, ...]] = {
    "int": (7, 0, -1, 10**9),
    "bool": (True, False),
    "float": (1.5, 0.0),
    "str": TEXTS,
    "bytes": (b"bytes", b""),
    "tuple": (("b", "a", "c"), ()),
    "Map": ({"b": 1, "a": 2},),
    "Capability": (Foreign(0),),
    "Failed": (Failed("refused", "no"), Failed("late"), Failed("undelivered")),
}


def written(texts: Mapping[str, str], entry: str) -> str:
    """The text of the module that a machine's cases stand in: its own, or where `step` comes from."""
    name = entry
    for _ in texts:
        found = [
            node.module
            for node in ast.parse(texts[name]).body
            if isinstance(node, ast.ImportFrom) and node.module in texts and not node.level
            if any(one.name == "step" and one.asname in (None, "step") for one in node.names)
        ]
        if not found or found[0] is None:
            break
        name = found[0]
    return texts[name]


def contents(text: str) -> list[object]:
    """Contents for `step`: those its cases take, then some that few would."""
    found = [value for pattern in _content_patterns(text) for value in _of(pattern, DEPTH_MAX)]
    return _distinct([*found, *COMMON])[:SAMPLES_MAX]


def environments(text: str) -> list[object]:
    """Contents for `init`: nothing, then those its cases take."""
    found: list[object] = [None]
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name == "init":
            for case in _cases(node):
                found += _of(case.pattern, DEPTH_MAX)
    return _distinct(found)[:SAMPLES_MAX]


def contexts(text: str) -> list[str]:
    """Texts that cases compare the context with."""
    found: list[object] = []
    tree = ast.parse(text)
    for case in _cases(tree):
        match case.pattern:
            case ast.MatchSequence(patterns=[first, _, *_]):
                found += _of(first, DEPTH_MAX) if _is_constant(first) else []
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="on"), args=[ast.Constant(value=str(name))]):
                found.append(name)
    return [value for value in _distinct(found) if isinstance(value, str)]


def _is_constant(pattern: ast.pattern) -> bool:
    match pattern:
        case ast.MatchValue():
            return True
        case ast.MatchOr(patterns=patterns):
            return all(map(_is_constant, patterns))
        case ast.MatchAs(pattern=ast.pattern() as inner):
            return _is_constant(inner)
    return False


def _cases(tree: ast.AST) -> Iterator[ast.match_case]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Match):
            yield from node.cases


def _content_patterns(text: str) -> Iterator[ast.pattern]:
    """The second part of a case on two, else the whole."""
    for case in _cases(ast.parse(text)):
        match case.pattern:
            case ast.MatchSequence(patterns=[_, second]):
                yield second
            case whole:
                yield whole


def _of(pattern: ast.pattern, room: int) -> list[object]:
    """Values that fit a pattern, as far as that is easily said."""
    if room == 0:
        return []
    match pattern:
        case ast.MatchValue(value=ast.Constant(value=value)):
            return [value]
        case ast.MatchSingleton(value=value):
            return [value]
        case ast.MatchOr(patterns=patterns):
            return [value for one in patterns for value in _of(one, room)]
        case ast.MatchAs(pattern=None):
            return list(COMMON[:8])
        case ast.MatchAs(pattern=ast.pattern() as inner):
            return _of(inner, room)
        case ast.MatchClass(cls=ast.Name(id=name) | ast.Attribute(attr=name)):
            return list(BY_CLASS.get(name, ()))
        case ast.MatchSequence(patterns=patterns):
            return list(_rows([_of(one, room - 1) for one in patterns]))
        case ast.MatchMapping(keys=keys, patterns=patterns):
            names = [key.value for key in keys if isinstance(key, ast.Constant)]
            rows = _rows([_of(one, room - 1) for one in patterns])
            return [dict(zip(names, row, strict=False)) for row in rows]
    return []


def _rows(columns: list[list[object]]) -> list[tuple[object, ...]]:
    """A few rows in which every value of every column stands once; none where a column is empty."""
    if not all(columns):
        return []
    count = max(map(len, columns), default=1)
    return [tuple(column[at % len(column)] for column in columns) for at in range(count)]


def _distinct(values: list[object]) -> list[object]:
    by_text = {f"{type(value).__name__} {value!r}": value for value in values}
    return list(by_text.values())
