"""Bundles: what is collected, what is refused and in which words, and the canonical bytes."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm.machine.allowed import OURS, STDLIB
from avm.machine.bundle import SOURCE_BYTES_MAX, Bundle, BundleRefused, Source, collect, decode
from avm.run.findings import findings
from caps import patterns
from caps.errors import Malformed

MAIN = "def init(message, me): ...\ndef step(message, state): ...\n"
NAMES = ["ant", "bee", "cat", "dog", "eel", "fox"]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def reader(files: Mapping[str, str]) -> Callable[[str], bytes | None]:
    """Reads from a map of paths to texts."""
    bodies = {path: text.encode() for path, text in files.items()}
    return bodies.get


def names(files: Mapping[str, str], path: str = "m.py") -> list[str]:
    return [source.name for source in collect(path, reader(files)).files]


def refusal(files: Mapping[str, str], path: str = "m.py") -> str:
    with pytest.raises(BundleRefused) as caught:
        collect(path, reader(files))
    text = str(caught.value)
    assert "\n" not in text
    return text


BUNDLES = st.builds(
    lambda texts, packages: Bundle(
        min(texts), "3.11", tuple(Source(n, n in packages, t) for n, t in sorted(texts.items()))
    ),
    st.dictionaries(st.sampled_from(NAMES), TEXTS, min_size=1),
    st.sets(st.sampled_from(NAMES)),
)


@given(BUNDLES)
def test_a_bundle_comes_back_from_its_bytes(bundle: Bundle) -> None:
    again = decode(bundle.encode())
    assert again == bundle
    assert again.encode() == bundle.encode()
    assert len(bundle.hash) == 32


@given(BUNDLES, BUNDLES)
def test_bundles_have_one_hash_only_when_equal(first: Bundle, second: Bundle) -> None:
    assert (first.hash == second.hash) == (first == second)


@given(st.binary(max_size=60))
def test_p08_bytes_of_a_stranger_raise_the_declared_error_only(body: bytes) -> None:
    with pytest.raises(Malformed):
        decode(body)


@given(BUNDLES, st.data())
def test_p08_a_changed_bundle_is_another_or_malformed(bundle: Bundle, data: st.DataObject) -> None:
    body = bytearray(bundle.encode())
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] ^= data.draw(st.integers(1, 255))
    try:
        other = decode(bytes(body))
    except Malformed:
        return
    assert other != bundle
    assert other.encode() == bytes(body)


def test_p08_a_version_that_only_equals_ours_is_malformed() -> None:
    body = bytearray(Bundle("ant", "3.11", (Source("ant", False, ""),)).encode())
    assert body[1] == 1
    body[1] = 0xF5  # True
    with pytest.raises(Malformed):
        decode(bytes(body))


def test_modules_out_of_order_or_without_their_entry_are_malformed() -> None:
    one, two = Source("ant", False, ""), Source("bee", False, "")
    for bundle in (Bundle("ant", "3.11", (two, one)), Bundle("cat", "3.11", (one, two))):
        with pytest.raises(Malformed):
            decode(bundle.encode())


@given(st.dictionaries(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES))))
def test_exactly_what_is_reached_is_collected(graph: dict[str, set[str]]) -> None:
    files = {
        f"{name}.py": "".join(f"import {to}\n" for to in graph.get(name, ())) for name in NAMES
    }
    files["m.py"] = MAIN + "import ant\n"
    reached = {"m", "ant"}
    while more := {to for name in reached for to in graph.get(name, ())} - reached:
        reached |= more
    assert names(files) == sorted(reached)


@settings(max_examples=40)
@given(st.sampled_from(sorted(sys.stdlib_module_names - {s.partition(".")[0] for s in STDLIB})))
def test_w01_other_modules_of_python_are_refused_with_their_line(module: str) -> None:
    text = refusal({"m.py": f"{MAIN}class A:\n    import {module}\n"})
    assert text.startswith(f"m.py:4: `import {module}` is not allowed in a step: ")
    inside = f"def f():\n    import {module}\n"
    assert names({"m.py": MAIN + inside}) == ["m"]
    (found,) = findings(inside)
    assert found.error and found.line == 2 and found.text == text.removeprefix("m.py:4: ")


@pytest.mark.parametrize("module", sorted(STDLIB))
def test_the_allowed_modules_are_allowed(module: str) -> None:
    first = "from __future__ import annotations\n" if module == "__future__" else ""
    assert names({"m.py": f"{first}{MAIN}import {module}\nfrom {module} import *\n"}) == ["m"]


def test_packages_submodules_and_relative_imports_are_followed() -> None:
    files = {
        "dir/m.py": MAIN + "from pkg.deep import leaf\nimport plain.inner\n",
        "dir/pkg/__init__.py": "",
        "dir/pkg/deep/__init__.py": "from ..side import thing\n",
        "dir/pkg/deep/leaf.py": "from . import other\nfrom .other import x\n",
        "dir/pkg/deep/other.py": "x = 1\n",
        "dir/pkg/side.py": "thing = 1\n",
        "dir/plain/inner.py": "",
        "dir/unused.py": "",
    }
    bundle = collect("dir/m.py", reader(files))
    assert bundle.entry == "m"
    assert bundle.minor == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert [(source.name, source.package) for source in bundle.files] == [
        ("m", False),
        ("pkg", True),
        ("pkg.deep", True),
        ("pkg.deep.leaf", False),
        ("pkg.deep.other", False),
        ("pkg.side", False),
        ("plain", True),
        ("plain.inner", False),
    ]


def test_imports_for_type_checkers_only_are_not_followed() -> None:
    text = "import typing\nif typing.TYPE_CHECKING:\n    import os\nelse:\n    import ant\n" + MAIN
    assert names({"m.py": text, "ant.py": ""}) == ["ant", "m"]


@pytest.mark.parametrize(
    "main",
    [
        "from ant import step, init\n",
        "from ant import *\n",
        "step, init = 1, 2\n",
        "step: object = 1\ninit = 2\n",
        "class step: ...\nif 1:\n    def init(): ...\n",
        "try:\n    from ant import init\nfinally:\n    import ant as step\n",
    ],
)
def test_step_and_init_may_be_bound_in_any_way(main: str) -> None:
    assert "m" in names({"m.py": main, "ant.py": ""})


@pytest.mark.parametrize(
    ("main", "says"),
    [
        ("def step(:\n", "m.py:1: does not parse: "),
        ("x = 1\n  y = 2\n", "m.py:2: does not parse: unexpected indent"),
        ("x = '\0'", "m.py:1: does not parse: "),
        ("x = " + "(" * 5000, "m.py:1: does not parse: "),
        ("x = " + "-" * 200_000 + "1", "m.py:1: does not parse: "),
        ("def init(): ...\n", "m.py: has no `step`: add `def step(message, state)`"),
        ("def step(): ...\n", "m.py: has no `init`: add `def init(message, me)`"),
        ("step: int\ndef init(): ...\n", "m.py: has no `step`"),
        ("def init():\n    def step(): ...\n", "m.py: has no `step`"),
        ("async def step(): ...\n", "m.py:1: `step` is async: a step never waits"),
        (MAIN + "import random\n", "m.py:3: `import random` is not allowed in a step: use message"),
        (MAIN + "from time import time\n", "m.py:3: `from time import time` is not allowed in"),
        (MAIN + "import os.path\n", "pass the content in with a message or with a grant"),
        (MAIN + "import json.tool\n", "`import json.tool` is not allowed in a step: import json"),
        (MAIN + "import requests\n", "send a message to an adapter"),
        (
            MAIN + "import numpy\n",
            "m.py:3: `import numpy`: there is no numpy.py beside the machine's",
        ),
        (
            MAIN + "from lib import helper\n",
            "there is no lib.py beside the machine's file; besides,",
        ),
        (MAIN + "import avm.host\n", "`import avm.host` is not allowed in a step"),
        (MAIN + "from avm import host\n", "avm has no host for it"),
        (MAIN + "import caps\n", "import it from avm itself"),
        (MAIN + "from caps import codec\n", "import it from avm itself"),
        (MAIN + "from . import ant\n", "m.py:3: `from . import ant` reaches outside the directory"),
        (MAIN + "from ..up import ant\n", "reaches outside the directory"),
        (MAIN + "import bad\n", "bad.py:1: `import socket` is not allowed"),
        (
            MAIN + "import ant.missing\n",
            "`import ant.missing`: there is no ant/missing.py beside the",
        ),
        (
            MAIN + "import deep\n",
            "deep/__init__.py:1: `from .no import x`: there is no deep/no.py beside",
        ),
        (MAIN + "import copy\n", "copy.py: hides Python's own module `copy`"),
        (MAIN + "#" * SOURCE_BYTES_MAX, "m.py: too large"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(main: str, says: str) -> None:
    files = {"m.py": main, "bad.py": "import socket\n", "ant.py": "", "copy.py": ""}
    files["deep/__init__.py"] = "from .no import x\n"
    assert says in refusal(files)


def test_names_that_are_no_machine_are_refused() -> None:
    for path in ("m.txt", "m", ".py", "a.b.py"):
        assert "a machine is a Python file" in refusal({path: MAIN}, path)
    for name in ("json", "random", *OURS):
        assert "rename the file" in refusal({f"{name}.py": MAIN}, f"{name}.py")
    assert refusal({}, "dir/none.py") == "dir/none.py: there is no such file"


def test_text_that_is_not_utf8_is_refused_with_its_line() -> None:
    with pytest.raises(BundleRefused, match=r"m\.py:2: is not UTF-8 text"):
        collect("m.py", {"m.py": b"x = 1\ny = '\xff'\n"}.get)


def test_a_byte_order_mark_and_a_name_with_a_hyphen_are_fine() -> None:
    bundle = collect("my-tool.py", {"my-tool.py": b"\xef\xbb\xbf" + MAIN.encode()}.get)
    assert bundle.entry == "my-tool"
    assert bundle.files[0].text == MAIN


def test_ours_are_not_looked_for_beside_the_file() -> None:
    files = {"m.py": MAIN + "import avm\nfrom avm import Me\n", "avm/__init__.py": "import os\n"}
    assert names(files) == ["m"]


MINT = "from caps.patterns.mint import init, step\n"


def test_patterns_that_are_used_are_part_of_the_bundle() -> None:
    wanted = ["caps", "caps.patterns", "caps.patterns.mint", "m"]
    assert names({"m.py": MINT}) == wanted
    later = "def f():\n    from caps.patterns import mint\n"
    assert names({"m.py": MAIN + later}) == wanted
    assert names({"m.py": MAIN + "import caps.patterns.caretaker\n"}) == [
        *("caps", "caps.patterns", "caps.patterns.caretaker", "caps.patterns.passing", "m")
    ]
    source = collect("m.py", reader({"m.py": MINT})).files[2]
    assert source.text == (Path(patterns.__file__).parent / "mint.py").read_text()


def test_files_beside_a_machine_are_no_patterns() -> None:
    beside = {"caps/patterns/mint.py": "init = step = 1\n", "caps/value.py": "", "caps/own.py": ""}
    assert collect("m.py", reader({"m.py": MINT, **beside})) == collect(
        "m.py", reader({"m.py": MINT})
    )
    assert "import it from avm itself" in refusal({"m.py": MAIN + "import caps.own\n", **beside})


def test_a_pattern_that_is_none_is_refused_with_its_line() -> None:
    for line in ("import caps.patterns.mintt", "from caps.patterns.mintt import step"):
        assert refusal({"m.py": MAIN + line}) == "m.py:3: there is no pattern `caps.patterns.mintt`"
