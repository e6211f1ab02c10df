"""Hypothesis strategies for values, shared by the tests of this package."""

from hypothesis import strategies as st

from caps.frozen import order_of
from caps.map import freeze
from caps.record import record
from caps.slots import NULL, Common, Foreign, Me
from caps.value import Affine, Failed, Linear, Record, Relevant


@record
class Point:
    x: object
    y: object = 0


@record(name="Odd name")
class Named:
    who: object
    b: object
    aa: object = None


RECORDS = {"Point": Point, "Odd name": Named}

INT_END = 1 << 4096

integers = st.one_of(
    st.integers(-30, 30),
    st.integers(-(1 << 70), 1 << 70),
    st.integers(1 - INT_END, INT_END - 1),
    st.sampled_from(
        [s * (1 << b) + d for b in (8, 16, 32, 64) for d in (-1, 0, 1) for s in (1, -1)]
    ),
)
atoms = st.one_of(
    st.none(), st.booleans(), integers, st.floats(), st.text(max_size=30), st.binary(max_size=30)
)
foreign = st.integers(0, 5).map(Foreign)
plain_keys = st.one_of(atoms, st.lists(atoms, max_size=3).map(tuple))
names = st.text(min_size=1, max_size=8)


def containers(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=4), inner, max_size=4),
        st.dictionaries(plain_keys, inner, max_size=4),
        inner.map(Linear),
        inner.map(Affine),
        inner.map(Relevant),
        st.builds(Failed, names, names),
    )


def forms(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.one_of(
        containers(inner),
        st.builds(Point, inner, inner),
        st.builds(Named, inner, inner, inner),
        st.builds(Record, names, st.dictionaries(names, inner, max_size=3)),
        st.lists(inner, max_size=2).map(lambda parts: Me(0, tuple(parts))),
    )


plain_values = st.recursive(atoms, containers, max_leaves=12)
plain_states = st.recursive(atoms, forms, max_leaves=12)
own = st.builds(lambda context: Me(1)(context), plain_states)
capabilities = st.one_of(foreign, own, st.just(NULL), names.map(Common))
keys = st.one_of(plain_keys, capabilities, st.tuples(capabilities, atoms))
contents = st.recursive(
    st.one_of(atoms, capabilities),
    lambda inner: st.one_of(containers(inner), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=12,
)
states = st.recursive(st.one_of(atoms, capabilities), forms, max_leaves=12)


def exact(value: object) -> bytes:
    """Return bytes that differ for values that differ in any part or type."""
    return order_of(freeze(value))
