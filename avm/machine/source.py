"""One file of a machine, parsed: what it imports and which names it binds. Pure.

Before the journey: `bundle` follows the imports that are found here. Nothing is run.
"""

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace


class NotParsed(Exception):
    """The text is not Python of this version."""

    def __init__(self, why: str, line: int) -> None:
        super().__init__(why, line)
        self.why = why
        self.line = line


@dataclass(frozen=True, slots=True)
class Import:
    """An import statement, its module's name made absolute; `outside` where that has no parent.

    `later` is one inside a function, which takes place when that is called.
    """

    line: int
    statement: str
    module: str
    names: tuple[str, ...] = ()
    outside: bool = False
    later: bool = False


@dataclass(frozen=True, slots=True)
class Parsed:
    """What stands in a file: its imports, the names bound at the top, the coroutines by line."""

    imports: tuple[Import, ...]
    bound: frozenset[str]
    coroutines: dict[str, int]
    star: bool


def parse(text: str, package: str) -> Parsed:
    """Parses a module of this package ('' at the top); raises `NotParsed`."""
    tree = _tree(text)
    imports: list[Import] = []
    bound: set[str] = set()
    coroutines: dict[str, int] = {}
    for statement, top, later in _statements(tree):
        match statement:
            case ast.Import(names=aliases, lineno=line):
                imports += [
                    Import(line, f"import {one.name}", one.name, later=later) for one in aliases
                ]
            case ast.ImportFrom():
                imports.append(replace(_import_from(statement, package), later=later))
            case ast.AsyncFunctionDef(name=name, lineno=line) if top:
                coroutines[name] = line
        if top:
            bound.update(_bound(statement))
    star = "*" in bound
    return Parsed(tuple(imports), frozenset(bound), coroutines, star)


def _tree(text: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        raise NotParsed(f"does not parse: {error.msg}", error.lineno or 1) from None
    except ValueError as error:
        raise NotParsed(f"does not parse: {error}", 1) from None
    except (RecursionError, MemoryError):
        raise NotParsed("does not parse: nested too deeply", 1) from None


def _statements(tree: ast.Module) -> Iterator[tuple[ast.stmt, bool, bool]]:
    """Every statement that can run, whether it stands at the top, whether within a function."""
    waiting: list[tuple[ast.AST, bool, bool]] = [(n, True, False) for n in reversed(tree.body)]
    while waiting:
        node, top, later = waiting.pop()
        if isinstance(node, ast.stmt):
            yield node, top, later
        later = later or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            top = False
        inner: list[ast.AST] = []
        for field in ("body", "handlers", "cases", "orelse", "finalbody"):
            if not (field == "body" and isinstance(node, ast.If) and _typing_only(node.test)):
                inner += getattr(node, field, ())
        waiting += [(child, top, later) for child in reversed(inner)]


def _typing_only(test: ast.expr) -> bool:
    match test:
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return True
    return False


def _import_from(node: ast.ImportFrom, package: str) -> Import:
    names = tuple(alias.name for alias in node.names)
    written = f"from {'.' * node.level}{node.module or ''} import {', '.join(names)}"
    if node.level == 0:
        return Import(node.lineno, written, node.module or "", names)
    parts = package.split(".") if package else []
    above = node.level - 1
    if above >= len(parts):
        return Import(node.lineno, written, "", names, outside=True)
    base = parts[: len(parts) - above] + ([node.module] if node.module else [])
    return Import(node.lineno, written, ".".join(base), names)


def _bound(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement binds; `*` where that is not known."""
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Import(names=aliases):
            yield from (one.asname or one.name.partition(".")[0] for one in aliases)
        case ast.ImportFrom(names=aliases):
            yield from (one.asname or one.name for one in aliases)
        case ast.Assign(targets=targets):
            for target in targets:
                yield from _targets(target)
        case ast.AnnAssign(target=target, value=value) if value is not None:
            yield from _targets(target)


def _targets(target: ast.expr) -> Iterator[str]:
    match target:
        case ast.Name(id=name):
            yield name
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                yield from _targets(part)
