"""What the CBOR library does by itself, which another version of it may do otherwise."""

import cbor2
import pytest

from caps.codec import decode_content_untrusted
from caps.errors import Malformed
from caps.plain import BUILT_IN_TAGS, BUILT_IN_TAGS_FAR, loads_plain_untrusted

# As contents of a tag: whatever a tag is for, it takes one of these or refuses it.
CONTENTS = [
    bytes.fromhex(body) for body in ("00", "40", "60", "80", "a0", "f6", "820001", "f93c00")
]
OURS = {*BUILT_IN_TAGS, *BUILT_IN_TAGS_FAR, 2, 3}


def tagged(tag: int, content: bytes) -> bytes:
    """The bytes of a tag over one content, shortest head first."""
    return cbor2.dumps(cbor2.CBORTag(tag, 0))[:-1] + content


def is_read_by_the_library(tag: int) -> bool:
    """Whether it makes something of the tag of its own, or refuses its content."""
    for content in CONTENTS:
        try:
            if not isinstance(cbor2.loads(tagged(tag, content)), cbor2.CBORTag):
                return True
        except cbor2.CBORError:
            return True
    return False


def test_no_tag_is_read_by_the_library_but_those_that_are_refused() -> None:
    """Tags of two bytes are all that are registered today; of longer ones those that it may know."""
    far = (65_536, 1_330_664_270, 2**32 - 1, 2**63)
    assert {tag for tag in (*range(65_536), *far) if is_read_by_the_library(tag)} == OURS


@pytest.mark.parametrize("tag", sorted(OURS))
def test_what_the_library_would_read_is_refused(tag: int) -> None:
    for content in CONTENTS:
        with pytest.raises(Malformed):
            loads_plain_untrusted(tagged(tag, content))
        with pytest.raises(Malformed):
            decode_content_untrusted(tagged(tag, content), ())
