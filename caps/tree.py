"""The persistent sorted tree under a map: changing one entry leaves the rest shared.

A tree with all entries in its leaves, each leaf a small dict in the one order. A key is *stored* as
itself when it is text or bytes, otherwise as the pair of its place in the order and itself, because
Python takes 1, 1.0 and True for one key and the order does not.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from caps.frozen import ATOMS, depth_of, head, order_text, weight_of
from caps.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TypeAlias, TypeVar

    T = TypeVar("T")

WIDTH = 32
_THIN = WIDTH // 4
_FILL = WIDTH * 3 // 4

Stored: TypeAlias = str | bytes | tuple[bytes, object]
Entry: TypeAlias = tuple[Stored, object]


class Leaf:
    """At most WIDTH entries in order; `odd` of the keys are neither text nor bytes.

    The weight of a node is -1 until it is first asked for.
    """

    __slots__ = ("depth", "entries", "odd", "weight")

    def __init__(self, entries: dict[Stored, object], depth: int, odd: int) -> None:
        self.entries = entries
        self.depth = depth
        self.odd = odd
        self.weight = -1

    @property
    def size(self) -> int:
        return len(self.entries)


class Branch:
    """At most WIDTH subtrees; `firsts` are the places of the first keys of all but the first."""

    __slots__ = ("depth", "firsts", "kids", "odd", "size", "weight")

    def __init__(
        self,
        kids: tuple[Node, ...],
        firsts: tuple[bytes, ...],
        size: int,
        depth: int,
        odd: int,
    ) -> None:
        self.kids = kids
        self.firsts = firsts
        self.size = size
        self.depth = depth
        self.odd = odd
        self.weight = -1


Node: TypeAlias = Leaf | Branch
Split: TypeAlias = tuple[Node, bytes, Node]

EMPTY = Leaf({}, 0, 0)


def place(stored: Stored) -> bytes:
    """Return the place of a stored key in the order."""
    if type(stored) is str:
        return order_text(stored)
    if type(stored) is tuple:
        return stored[0]
    assert type(stored) is bytes
    return head(0x40, len(stored)) + stored


def find(node: Node, stored: Stored, missing: object) -> object:
    """Return the value under a key, or `missing`."""
    if type(node) is Branch:
        node = _leaf_of(node, place(stored))
    assert type(node) is Leaf
    return node.entries.get(stored, missing)


def _leaf_of(node: Node, at: bytes) -> Leaf:
    while type(node) is Branch:
        node = node.kids[bisect_right(node.firsts, at)]
    assert type(node) is Leaf
    return node


def leaves(node: Node) -> Iterator[dict[Stored, object]]:
    """Yield the entries in order, a leaf at a time."""
    if type(node) is Leaf:
        yield node.entries
    elif type(node) is Branch:
        for kid in node.kids:
            yield from leaves(kid)


def entries(node: Node) -> Iterable[Entry]:
    """Return all entries in order."""
    if type(node) is Leaf:
        return node.entries.items()
    return (entry for leaf in leaves(node) for entry in leaf.items())


def weigh(node: Node) -> int:
    """Return the weight of all keys and values, and note it in each node that is new."""
    if node.weight < 0:
        if isinstance(node, Leaf):
            held = node.entries
            node.weight = sum(map(weight_of_key, held)) + sum(map(weight_of, held.values()))
        else:
            node.weight = sum(map(weigh, node.kids))
    return node.weight


def weight_of_key(stored: Stored) -> int:
    """Return the weight of a key."""
    return weight_of(stored[1] if type(stored) is tuple else stored)


def build(ordered: Sequence[Entry]) -> Node:
    """Return the tree of entries that are in order and distinct already, in linear time."""
    if len(ordered) <= WIDTH:
        return _leaf(dict(ordered))
    level: list[Node] = [_leaf(dict(part)) for part in _parts(ordered)]
    firsts = [place(part[0][0]) for part in _parts(ordered)]
    while len(level) > 1:
        groups = list(_parts(list(zip(level, firsts, strict=True))))
        level = [_branch(tuple(k for k, _ in g), tuple(f for _, f in g[1:])) for g in groups]
        firsts = [g[0][1] for g in groups]
    return level[0]


def adopt(held: dict[Stored, object], depth: int) -> Node:
    """Return the tree over text and bytes keys in order already, keeping the dict when it is small."""
    return Leaf(held, depth, 0) if len(held) <= WIDTH else build(list(held.items()))


def _parts(whole: Sequence[T]) -> Iterator[Sequence[T]]:
    count = 1 if len(whole) <= WIDTH else -(-len(whole) // _FILL)
    for part in range(count):
        yield whole[part * len(whole) // count : (part + 1) * len(whole) // count]


def _leaf(held: dict[Stored, object]) -> Leaf:
    depth = 0
    for value in held.values():
        if type(value) not in ATOMS:
            depth = max(depth, depth_of(value))
    return Leaf(held, depth, sum([type(stored) is tuple for stored in held]))


def _branch(kids: tuple[Node, ...], firsts: tuple[bytes, ...]) -> Branch:
    return Branch(
        kids,
        firsts,
        sum(kid.size for kid in kids),
        max(kid.depth for kid in kids),
        sum(kid.odd for kid in kids),
    )


def put(node: Node, stored: Stored, value: object) -> Node:
    """Return the tree with one entry set, new or changed."""
    if type(node) is Leaf:
        after = _put_leaf(node, stored, value)
    else:
        after = _put(node, place(stored), stored, value)
    if type(after) is tuple:
        return _branch((after[0], after[2]), (after[1],))
    assert not isinstance(after, tuple)
    return after


def _put(node: Node, at: bytes, stored: Stored, value: object) -> Node | Split:
    if type(node) is Leaf:
        return _put_leaf(node, stored, value)
    assert type(node) is Branch
    index = bisect_right(node.firsts, at)
    old = node.kids[index]
    new = _put(old, at, stored, value)
    if type(new) is tuple:
        left, first, right = new
        kids = (*node.kids[:index], left, right, *node.kids[index + 1 :])
        return _bound(kids, (*node.firsts[:index], first, *node.firsts[index:]))
    assert not isinstance(new, tuple)
    if new is old:
        return node
    return _with_kid(node, index, new)


def _put_leaf(leaf: Leaf, stored: Stored, value: object) -> Node | Split:
    held = leaf.entries
    if stored in held:
        old = held[stored]
        if old is value:
            return leaf
        held = held.copy()
        held[stored] = value
        depth = _leaf_depth(held, leaf.depth, depth_of(old), depth_of(value))
        made = Leaf(held, depth, leaf.odd)
        if leaf.weight >= 0:
            made.weight = leaf.weight - weight_of(old) + weight_of(value)
        return made
    odd = leaf.odd + (type(stored) is tuple)
    at = place(stored)
    keys = list(held)
    index = bisect_left(keys, at, key=place) if keys and place(keys[-1]) > at else len(keys)
    if len(keys) < WIDTH:
        if index == len(keys):
            held = held.copy()
            held[stored] = value
        else:
            listed = list(held.items())
            listed.insert(index, (stored, value))
            held = dict(listed)
        made = Leaf(held, max(leaf.depth, depth_of(value)), odd)
        if leaf.weight >= 0:
            made.weight = leaf.weight + weight_of_key(stored) + weight_of(value)
        return made
    listed = list(held.items())
    listed.insert(index, (stored, value))
    middle = WIDTH // 2
    return _leaf(dict(listed[:middle])), place(listed[middle][0]), _leaf(dict(listed[middle:]))


def _leaf_depth(held: dict[Stored, object], depth: int, old: int, new: int) -> int:
    if new >= depth:
        return new
    return depth if old < depth else max(map(depth_of, held.values()), default=0)


def _with_kid(node: Branch, index: int, new: Node) -> Branch:
    old = node.kids[index]
    kids = (*node.kids[:index], new, *node.kids[index + 1 :])
    depth = node.depth
    if new.depth >= depth:
        depth = new.depth
    elif old.depth == depth:
        depth = max(kid.depth for kid in kids)
    size = node.size + new.size - old.size
    made = Branch(kids, node.firsts, size, depth, node.odd + new.odd - old.odd)
    if min(node.weight, old.weight, new.weight) >= 0:
        made.weight = node.weight - old.weight + new.weight
    return made


def _bound(kids: tuple[Node, ...], firsts: tuple[bytes, ...]) -> Node | Split:
    if len(kids) <= WIDTH:
        return _branch(kids, firsts)
    middle = len(kids) // 2
    left = _branch(kids[:middle], firsts[: middle - 1])
    return left, firsts[middle - 1], _branch(kids[middle:], firsts[middle:])


def drop(node: Node, stored: Stored) -> Node:
    """Return the tree without an entry that it has."""
    after = _drop(node, place(stored), stored)
    while isinstance(after, Branch) and len(after.kids) == 1:
        after = after.kids[0]
    return after


def _drop(node: Node, at: bytes, stored: Stored) -> Node:
    if type(node) is Leaf:
        held = node.entries.copy()
        old = depth_of(held.pop(stored))
        depth = _leaf_depth(held, node.depth, old, -1)
        return Leaf(held, depth, node.odd - (type(stored) is tuple))
    assert type(node) is Branch
    index = bisect_right(node.firsts, at)
    new = _drop(node.kids[index], at, stored)
    if len(node.kids) == 1 or _breadth(new) >= _THIN:
        return _with_kid(node, index, new)
    left = max(index - 1, 0)
    pair = (node.kids[left], new) if left < index else (new, node.kids[left + 1])
    joined = _join(pair[0], node.firsts[left], pair[1])
    before, behind = node.kids[:left], node.kids[left + 2 :]
    if type(joined) is tuple:
        kids = (*before, joined[0], joined[2], *behind)
        return _branch(kids, (*node.firsts[:left], joined[1], *node.firsts[left + 1 :]))
    assert not isinstance(joined, tuple)
    return _branch((*before, joined, *behind), (*node.firsts[:left], *node.firsts[left + 1 :]))


def _breadth(node: Node) -> int:
    return len(node.entries) if isinstance(node, Leaf) else len(node.kids)


def _join(left: Node, first: bytes, right: Node) -> Node | Split:
    if type(left) is Leaf and type(right) is Leaf:
        listed = [*left.entries.items(), *right.entries.items()]
        if len(listed) <= WIDTH:
            return _leaf(dict(listed))
        middle = len(listed) // 2
        return _leaf(dict(listed[:middle])), place(listed[middle][0]), _leaf(dict(listed[middle:]))
    assert type(left) is Branch and type(right) is Branch
    return _bound((*left.kids, *right.kids), (*left.firsts, first, *right.firsts))
