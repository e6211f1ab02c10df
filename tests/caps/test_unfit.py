"""Which patterns nothing fits: exactly those for which no content can be made as they say."""

from contextlib import suppress
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from avm import NULL, Map
from caps.pattern import unfit
from tests.caps.test_caveats import fits, leaves, rows_of

# Many of them that nothing fits, so that rows of both sorts are common.
patterns = st.recursive(leaves | st.just(["int", 2, 1]), rows_of, max_leaves=6)


class _NoneFits(Exception):
    """There is no content that fits."""


def made_for(pattern: Any) -> Any:
    """A content that fits, made as the pattern says."""
    match pattern:
        case ["any"]:
            return None
        case ["bool" | "float" | "text" | "bytes" as form, *_]:
            return {"bool": True, "float": 0.5, "text": "", "bytes": b""}[form]
        case ["cap"]:
            return NULL
        case ["int", int(low), int(high)] if low > high:
            raise _NoneFits
        case ["int", *bounds]:
            return next((bound for bound in bounds if bound is not None), 0)
        case ["or", *rest]:
            for one in rest:
                with suppress(_NoneFits):
                    return made_for(one)
            raise _NoneFits
        case ["list", *_]:
            return ()
        case ["tuple", *rest]:
            return tuple(map(made_for, rest))
        case ["map" | "with", *fields]:
            return Map({key: made_for(one) for key, one in fields})
    return pattern


@given(patterns)
@example(["or", ["int", 2, 1], None])
@example(["list", ["int", 2, 1]])
def test_a_pattern_is_said_to_be_unfit_exactly_when_no_content_fits_it(pattern: Any) -> None:
    part = unfit(pattern)
    try:
        content = made_for(pattern)
    except _NoneFits:
        assert part == ["int", 2, 1]
    else:
        assert part is None and fits(pattern, content)
