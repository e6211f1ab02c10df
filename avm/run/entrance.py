"""What is suspicious in the four functions that a host calls, found without running them. Pure.

Before the journey, beside `findings`, for the machine's own file alone. Which parameters they have and
what they return is the contract with the host; a mistake there fails every message, or a later upgrade.
"""

import ast
from collections.abc import Iterator

from avm.run.findings import Finding

CALLED_WITH = {
    "init": ("message", "me"),
    "step": ("message", "state"),
    "signal": ("event", "state"),
    "migrate": ("old",),
}
ALONE = "`migrate` returns the new state alone: it sends nothing"


def entrance(text: str) -> list[Finding]:
    """What is wrong with `init`, `step`, `signal` and `migrate` where the module defines them itself."""
    found: set[Finding] = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in CALLED_WITH:
            found |= {Finding(line, error, why) for line, error, why in _wrong(node)}
    return sorted(found)


def _wrong(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[int, bool, str]]:
    name, line = node.name, node.lineno
    if isinstance(node, ast.AsyncFunctionDef):
        yield line, True, f"`{name}` is async: a step never waits"
        return
    given = CALLED_WITH[name]
    if not node.decorator_list and not _takes(node.args, len(given)):
        yield line, True, f"`{name}` is called with ({', '.join(given)}): it has to take these"
    own = list(_own(node))
    for yielded in own:
        if isinstance(yielded, ast.Yield | ast.YieldFrom):
            yield yielded.lineno, True, f"`{name}` returns what it has, and does not yield"
            return
    returned = [one for one in own if isinstance(one, ast.Return) and one.value is not None]
    if not returned and not isinstance(node.body[-1], ast.Raise):
        what = "no state" if name == "migrate" else "no (sends, state)"
        yield line, False, f"`{name}` returns {what}, and so refuses everything"
    if name == "migrate":
        for one in returned:
            match one.value:
                case ast.Tuple(elts=[ast.List(), _]):
                    yield one.lineno, True, ALONE


def _takes(arguments: ast.arguments, count: int) -> bool:
    """Whether a function can be called with so many positional arguments."""
    places = len(arguments.posonlyargs) + len(arguments.args)
    needed = places - len(arguments.defaults)
    if any(one is None for one in arguments.kw_defaults):
        return False
    return needed <= count and (count <= places or arguments.vararg is not None)


def _own(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """The nodes of a function, without those of functions and classes inside it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        inner = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
        if not isinstance(node, inner):
            waiting += ast.iter_child_nodes(node)
