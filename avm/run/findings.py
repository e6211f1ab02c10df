"""What is suspicious in the text of a machine's file, found without running it. Pure.

Before the journey. Each finding has its line; an error is a mistake for certain, a warning is one
most likely.
"""

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeGuard

from avm.machine.allowed import hidden, permitted, refusal

MUTABLE_CALLS = frozenset(
    ("list", "dict", "set", "bytearray", "defaultdict", "deque", "Counter", "OrderedDict")
)
MUTATORS = frozenset(
    (
        *("append", "extend", "insert", "remove", "pop", "popitem", "clear", "add", "discard"),
        *("update", "setdefault", "sort", "reverse", "appendleft", "popleft", "extendleft"),
        *("rotate", "subtract"),
    )
)
BUILTINS = frozenset(name for name in vars(builtins) if not name.startswith("_"))
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something to look at: where, how sure, and what."""

    line: int
    error: bool
    text: str


def findings(text: str) -> list[Finding]:
    """Everything suspicious in a module that parses, by line."""
    tree = ast.parse(text)
    top = top_names(tree)
    found = {*_shadowed(tree, top), *_captures(tree, top), *_together(tree), *_globals(tree)}
    found |= {*_imports(tree), *_unused(tree), *_narrowed(tree)}
    return sorted(found)


def top_names(tree: ast.Module) -> dict[str, int]:
    """The names a module binds outside functions and classes, with their lines."""
    return {name: line for name, line, _definition in _bound_at_top(tree)}


def _bound_at_top(tree: ast.Module) -> Iterator[tuple[str, int, bool]]:
    for node in tree.body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node.lineno, True
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                for one in aliases:
                    yield one.asname or one.name.partition(".")[0], node.lineno, False
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                        yield inner.id, node.lineno, False


def _shadowed(tree: ast.Module, top: dict[str, int]) -> Iterator[Finding]:
    defined: dict[str, int] = {}
    for name, line, definition in _bound_at_top(tree):
        if name in BUILTINS:
            yield Finding(line, False, f"`{name}` hides Python's own: rename it")
        if definition and name in defined and name != "_":
            yield Finding(line, True, f"`{name}` is defined in line {defined[name]} already")
        if definition:
            defined[name] = line
    for function in _functions(tree):
        for name, line in _locals(function):
            if name in top:
                where = f"what line {top[name]} gives that name"
                yield Finding(line, False, f"`{name}` hides {where}: rename it")


def _functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def _locals(function: Function) -> Iterator[tuple[str, int]]:
    arguments = function.args
    for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        yield one.arg, one.lineno
    if isinstance(function, ast.Lambda):
        return
    shared = {
        name for node in ast.walk(function) if isinstance(node, ast.Global) for name in node.names
    }
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id not in shared:
            yield node.id, node.lineno


def _captures(tree: ast.Module, top: dict[str, int]) -> Iterator[Finding]:
    for match in ast.walk(tree):
        if not isinstance(match, ast.Match):
            continue
        for case in match.cases:
            for pattern in _bare(case.pattern):
                name, line = str(pattern.name), pattern.lineno
                if name in top or (name.isupper() and len(name) > 1):
                    why = f"`case {name}` takes anything and binds it; it does not compare"
                    yield Finding(line, True, f"{why}: write the value itself, or a dotted name")
            head = _whole(match.subject, case) or _head(case.pattern)
            if head and head.name not in top and not _is_used(str(head.name), case):
                why = f"`{head.name}` takes any context and is not used"
                yield Finding(head.lineno, False, f'{why}: "{head.name}" in quotes compares')


def _bare(pattern: ast.pattern) -> Iterator[ast.MatchAs]:
    """The patterns that are a mere name."""
    for node in ast.walk(pattern):
        if isinstance(node, ast.MatchAs) and node.pattern is None and node.name:
            yield node


def _head(pattern: ast.pattern) -> ast.MatchAs | None:
    match pattern:
        case ast.MatchSequence(patterns=[ast.MatchAs(pattern=None, name=str(name)) as head, _, *_]):
            return None if name.startswith("_") or name == "context" else head
    return None


def _whole(subject: ast.expr, case: ast.match_case) -> ast.MatchAs | None:
    """A mere name that a whole context is held against, but for one that only says no."""
    match subject, case.pattern, case.body:
        case _, _, [ast.Raise()]:
            return None
        case ast.Attribute(attr="context"), ast.MatchAs(pattern=None, name=str()) as whole, _:
            return whole
    return None


def _is_used(name: str, case: ast.match_case) -> bool:
    nodes = [*case.body, *([case.guard] if case.guard else [])]
    inner = (node for whole in nodes for node in ast.walk(whole))
    return any(isinstance(node, ast.Name) and node.id == name for node in inner)


def _together(tree: ast.Module) -> Iterator[Finding]:
    """Sends to each of many capabilities that would share a batch."""
    for loop in ast.walk(tree):
        match loop:
            case ast.For(target=target, body=body):
                inside: list[ast.AST] = list(body)
                targets: list[ast.AST] = [target]
            case ast.ListComp(elt=element, generators=generators):
                inside, targets = [element], [one.target for one in generators]
            case ast.GeneratorExp(elt=element, generators=generators):
                inside, targets = [element], [one.target for one in generators]
            case _:
                continue
        names = _names_in(targets)
        for node in (node for whole in inside for node in ast.walk(whole)):
            if not _is_send(node) or _keyword(node, "apart"):
                continue
            if _names_in([*node.args[:1], *_keyword(node, "to")]) & names:
                yield Finding(node.lineno, False, APART)


APART = (
    "sends to each of several capabilities go in one batch per machine, so that one that refuses "
    "takes the others down: add apart=True where they are of several parties"
)


def _is_send(node: ast.AST) -> TypeGuard[ast.Call]:
    match node:
        case ast.Call(func=ast.Name(id="Send") | ast.Attribute(attr="Send")):
            return True
    return False


def _keyword(call: ast.Call, name: str) -> list[ast.expr]:
    return [one.value for one in call.keywords if one.arg == name]


def _names_in(nodes: list[ast.AST] | list[ast.expr]) -> set[str]:
    inner = (node for whole in nodes for node in ast.walk(whole))
    return {node.id for node in inner if isinstance(node, ast.Name)}


def _globals(tree: ast.Module) -> Iterator[Finding]:
    """What functions change outside themselves: it is no part of the state."""
    mutable = {name for node in tree.body for name in _mutable(node)}
    for function in _functions(tree):
        own = {name for name, _line in _locals(function)}
        for node in ast.walk(function):
            if isinstance(node, ast.Global):
                names = ", ".join(node.names)
                yield Finding(node.lineno, True, f"`global {names}`: keep it in the state")
            name = _changed(node)
            if name in mutable and name not in own:
                why = f"`{name}` is changed outside the state, and is lost or doubled"
                yield Finding(node.lineno, True, f"{why}: keep it in the state")  # type: ignore[attr-defined]


def _unused(tree: ast.Module) -> Iterator[Finding]:
    """What makes something new and is called as if it changed something."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Call(func=ast.Attribute(attr="put" | "drop" as name))):
                why = f"what `{name}` gives is not used: a Map does not change"
            case ast.Expr(value=ast.Call(func=ast.Name(id="replace"))):
                why = "what `replace` gives is not used: a record does not change"
            case ast.Expr(value=ast.Call(func=ast.Name(id="Send" | "Cancel" as name))):
                why = f"the `{name}` is not used: it has to be among what the step returns"
            case ast.Expr(
                value=ast.Call(func=ast.Attribute(value=ast.Name("message"), attr="answer"))
            ):
                why = "the answer is not used: it has to be among what the step returns"
            case _:
                continue
        yield Finding(node.lineno, False, why)


def _narrowed(tree: ast.Module) -> Iterator[Finding]:
    """A message's reply that is narrowed: only its host can tell, where it is sent, with no line."""
    for function in _functions(tree):
        stored = [name for name, _line in _locals(function)]
        once = {name for name in stored if stored.count(name) == 1}
        replies = {name for node in ast.walk(function) for name in _replies(node)} & once
        for node in ast.walk(function):
            match node:
                case ast.Call(
                    func=ast.Name("narrow") | ast.Attribute(ast.Name("avm"), "narrow"),
                    args=[first, *_],
                ) if _is_reply(first) or (isinstance(first, ast.Name) and first.id in replies):
                    yield Finding(node.lineno, True, NARROWED)


NARROWED = (
    "a reply capability cannot be narrowed, and the batch that sends it fails: it is good for one "
    "answer until its deadline as it is"
)


def _replies(node: ast.AST) -> Iterator[str]:
    match node:
        case (
            ast.Assign(targets=[ast.Name(id=name)], value=value)
            | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            | ast.NamedExpr(target=ast.Name(id=name), value=value)
        ) if _is_reply(value):
            yield name


def _is_reply(node: ast.expr) -> bool:
    match node:
        case ast.Attribute(value=ast.Name("message"), attr="reply"):
            return True
    return False


def _imports(tree: ast.Module) -> Iterator[Finding]:
    """What functions import of Python's and may not: it would fail the batch that comes there."""
    for function in _functions(tree):
        for node in ast.walk(function):
            match node:
                case ast.Import(names=aliases, lineno=line):
                    wanted = [(f"import {one.name}", one.name) for one in aliases]
                case ast.ImportFrom(module=str(module), names=aliases, level=0, lineno=line):
                    names = ", ".join(one.name for one in aliases)
                    wanted = [(f"from {module} import {names}", module)]
                case _:
                    continue
            for statement, module in wanted:
                if hidden(module.partition(".")[0]) and not permitted(module):
                    yield Finding(line, True, refusal(statement, module))


def _mutable(node: ast.stmt) -> list[str]:
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            pass
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            pass
        case _:
            return []
    match value:
        case ast.List() | ast.Dict() | ast.Set() | ast.ListComp() | ast.DictComp() | ast.SetComp():
            return [name]
        case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called)):
            return [name] if called in MUTABLE_CALLS else []
    return []


def _changed(node: ast.AST) -> str | None:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)):
            return name if method in MUTATORS else None
        case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()):
            return name
        case ast.AugAssign(target=ast.Name(id=name)):
            return name
    return None
