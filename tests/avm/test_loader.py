"""Loaded code: fresh modules, guarded imports, the builtins a step finds, and its records."""

import gc
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm.machine.allowed import STDLIB
from avm.machine.builtin import ImportRefused, NotAllowed
from avm.machine.bundle import Bundle, BundleRefused, Source, collect
from avm.machine.loader import Code, load

INIT = "def init(message, me): ...\n"


def bundle_of(main: str, **others: str) -> Bundle:
    texts = {"m": main if "init" in main else f"{main}\n{INIT}", **others}
    return Bundle("m", "3.11", tuple(Source(n, False, texts[n]) for n in sorted(texts)))


def loaded(main: str, **others: str) -> Code:
    return load(bundle_of(main, **others))


def run(body: str, given: object = None, top: str = "") -> Any:
    """What a step with this body returns."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return loaded(f"{top}\ndef step(message, state):\n{lines}").step(given, None)  # type: ignore[arg-type]


def refusal(main: str, **others: str) -> str:
    with pytest.raises(BundleRefused) as caught:
        loaded(main, **others)
    text = str(caught.value)
    assert "\n" not in text
    return text


@settings(max_examples=50)
@given(st.sampled_from(sorted(sys.stdlib_module_names - {s.partition(".")[0] for s in STDLIB})))
def test_w01_a_forbidden_import_inside_a_step_raises_there(module: str) -> None:
    for statement in (f"import {module}", f"from {module} import x", f"__import__('{module}')"):
        with pytest.raises(ImportRefused, match="not allowed in a step"):
            run(statement)


@pytest.mark.parametrize("module", sorted(STDLIB))
def test_every_allowed_module_is_there_without_the_modules_it_uses(module: str) -> None:
    top = f"import {module} as it"
    seen = run(
        "return {n: type(getattr(it, n)).__name__ for n in dir(it) if n[:1] != '_'}", top=top
    )
    assert seen
    inner = {name for name, kind in seen.items() if kind in ("module", "Face")}
    assert inner == ({"abc"} if module == "collections" else set())


def test_the_way_round_through_a_module_is_closed() -> None:
    with pytest.raises(ImportRefused, match="cannot import name 'sys' from 'dataclasses'"):
        run("from dataclasses import sys")
    with pytest.raises(AttributeError):
        run("import dataclasses\ndataclasses.sys")
    for statement in (
        "from avm import machine",
        "import avm.machine.turn",
        "from caps import codec",
    ):
        with pytest.raises(ImportRefused):
            run(statement)


@pytest.mark.parametrize(
    ("call", "remedy"),
    [
        ("datetime.datetime.now()", "message.now"),
        ("datetime.datetime.utcnow()", "message.now"),
        ("datetime.datetime.today()", "message.now"),
        ("datetime.date.today()", "message.now"),
        ("datetime.datetime(2020, 1, 1).now()", "message.now"),
        ("open('x')", "pass the content in"),
        ("input()", "pass the content in"),
        ("exec('1')", "the machine's files"),
        ("eval('1')", "the machine's files"),
        ("compile('1', 'x', 'eval')", "the machine's files"),
        ("exit()", "Refused"),
        ("breakpoint()", "print"),
        ("globals()", "name what you mean"),
        ("id(state)", "compare with"),
        ("hash('text')", "hashlib"),
        ("hash(None)", "hashlib"),
        ("print('x', file=1)", "log"),
        ("decimal.getcontext()", "localcontext"),
        ("setattr(datetime, 'date', 1)", "cannot be changed"),
        ("delattr(datetime, 'date')", "cannot be changed"),
    ],
)
def test_w01_what_is_not_pure_raises_and_says_what_to_use(call: str, remedy: str) -> None:
    with pytest.raises(NotAllowed, match=remedy):
        run(call, top="import datetime, decimal")


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ("return hash(5), hash(2.5), hash(True)", (5, hash(2.5), 1)),
        ("return sorted(set('banana')), locals()['state']", (["a", "b", "n"], None)),
        ("return datetime.datetime(2020, 1, 2).strftime('%A %d')", "Thursday 02"),
        ("return datetime.date(2020, 1, 2).strftime('%j')", "002"),
        ("return datetime.datetime.strptime('2020', '%Y').year", 2020),
        ("return isinstance(datetime.datetime(2020, 1, 1).date(), datetime.date)", True),
        ("return issubclass(datetime.datetime, datetime.date)", True),
        ("return type(datetime.date(2020, 1, 1) + datetime.timedelta(1)) is datetime.date", True),
        ("return datetime.datetime.fromtimestamp(0, datetime.timezone.utc).hour", 0),
        ("import collections.abc\nreturn isinstance({}, collections.abc.Mapping)", True),
        ("from collections import abc\nreturn isinstance({}, abc.Mapping)", True),
        ("import decimal\nwith decimal.localcontext() as c:\n    c.prec = 3\n    return c.prec", 3),
        ("import copy, json\nreturn copy.deepcopy(json.loads('[1]'))", [1]),
        ("return __name__, __debug__", ("m", True)),
        ("return (lambda: super).__name__, int.__name__", ("<lambda>", "int")),
    ],
)
def test_what_is_pure_works(body: str, result: object) -> None:
    assert run(body, top="import datetime") == result


def test_a_class_may_define_its_hash() -> None:
    top = (
        "class K:\n    def __hash__(self): return hash('k')\n    def __eq__(self, o): return True\n"
    )
    assert run("return len({K(), K()})", top=top) == 1


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
def test_dataclasses_work_with_and_without_annotations_as_text(future: str) -> None:
    top = (
        f"{future}import typing\nfrom typing import ClassVar\nfrom enum import Enum\n"
        "from dataclasses import KW_ONLY, dataclass\nfrom avm import record\n"
        "@dataclass(frozen=True)\nclass P:\n    x: int\n    a: ClassVar[int] = 1\n"
        "    b: typing.ClassVar[int] = 2\n    _: KW_ONLY\n    y: int = 3\n"
        "@record\nclass R:\n    n: int = 0\n"
        "class E(Enum):\n    ONE = 1\n"
        "class T(typing.NamedTuple):\n    n: int\n"
    )
    assert run("return P(1, y=2).y, R(4).n, E(1).name, T(5).n, len({P(1)})", top=top) == (
        *(2, 4, "ONE", 5, 1),
    )


def test_each_load_is_fresh_and_none_is_in_sys_modules() -> None:
    before = set(sys.modules)
    bundle = bundle_of(
        "import near\ndef step(m, s):\n    near.n += 1\n    return near.n", near="n = 0"
    )
    first, second = load(bundle), load(bundle)
    call: Callable[[Any, Any], Any] = first.step
    assert (call(None, None), call(None, None), second.step(None, None)) == (1, 2, 1)  # type: ignore[arg-type]
    assert set(sys.modules) - before == set()


def test_packages_relative_imports_and_circles_load_as_in_python() -> None:
    files = {
        "m.py": b"from pkg import leaf, top\nimport pkg.deep.inner as inner\n"
        b"def init(m, me): ...\ndef step(m, s): return leaf.x, top, inner.up, inner.me()\n",
        "pkg/__init__.py": b"top = 1\nfrom .leaf import *\n",
        "pkg/leaf.py": b"__all__ = ['x']\nx = 2\nhidden = 3\n",
        "pkg/deep/inner.py": b"from .. import top as up\nfrom . import inner as again\n"
        b"def me(): return again.up\n",
    }
    assert load(collect("m.py", files.get)).step(None, None) == (2, 1, 1, 1)  # type: ignore[arg-type]


def test_a_name_that_is_not_there_is_not_found_elsewhere() -> None:
    text = refusal("from pytest import fixture\ndef step(m, s): ...", pytest="")
    assert text == "m.py:1: ImportError: cannot import name 'fixture' from 'pytest'"


@pytest.mark.parametrize(
    ("main", "says"),
    [
        ("x = 1", "m.py: has no function `step`"),
        ("step = 1", "m.py: has no function `step`"),
        ("def step(m, s): ...\nsignal = 1", "m.py: `signal` is no function"),
        ("def step(m, s): ...\nmigrate = None", "m.py: `migrate` is no function"),
        ("import random\ndef step(m, s): ...", "m.py:1: `import random` is not allowed in a step"),
        ("def f():\n    return 1 / 0\nf()", "m.py:2: ZeroDivisionError: division by zero"),
        ("raise SystemExit", "m.py:1: SystemExit"),
        ("raise KeyboardInterrupt", "m.py:1: KeyboardInterrupt"),
        ("def f(): f()\nf()", "m.py:1: RecursionError: maximum recursion depth"),
        ("def step(:", "m.py:1: does not parse"),
        ("import far\n", "far.py:2: ValueError: no good"),
        ("class A(Exception):\n    def __str__(self): return 'a\\nb'\nraise A", "m.py:3: m.A: a b"),
        ("class A(Exception):\n    def __str__(self): raise A\nraise A", "m.py:3: m.A: <exception"),
    ],
)
def test_code_that_does_not_load_is_refused_with_its_place(main: str, says: str) -> None:
    others = {"far": "\nraise ValueError('no good')"} if "far" in main else {}
    assert refusal(main, **others).startswith(says)


def test_a_name_that_is_no_file_of_a_package_is_told_with_the_file() -> None:
    def said(package: bool) -> str:
        text = f"from lib import no\n{INIT}def step(m, s): ...\n"
        files = (Source("lib", package, ""), Source("m", False, text))
        with pytest.raises(BundleRefused) as caught:
            load(Bundle("m", "3.11", files), 1000)
        return str(caught.value)

    why = "m.py:1: ImportError: cannot import name 'no' from 'lib'"
    assert said(package=False) == why
    assert said(package=True) == f"{why}, and there is no lib/no.py beside the machine's file"


def test_every_module_is_run_at_once_not_first_in_a_turn() -> None:
    assert "far.py:1: ValueError" in refusal(
        "def step(m, s):\n    import far", far="raise ValueError"
    )


RECORD = "class {0}:\n    __record_name__ = {1!r}\n"


def test_records_are_found_in_all_modules_by_name() -> None:
    code = loaded(
        "from near import A\n" + RECORD.format("B", "other") + "class C(B): ...\n"
        "def step(m, s): return A, B",
        near=RECORD.format("A", "A"),
    )
    assert code.records == dict(zip(("A", "other"), code.step(None, None), strict=True))  # type: ignore[arg-type]


def test_two_records_of_one_name_are_refused_and_both_named() -> None:
    text = refusal(
        RECORD.format("A", "same") + "def step(m, s): ...", near=RECORD.format("B", "same")
    )
    assert "m.py: A" in text and "near.py: B" in text and "'same'" in text


def test_signal_and_migrate_are_optional() -> None:
    plain = loaded("def step(m, s): ...")
    assert (plain.signal, plain.migrate) == (None, None)
    full = loaded("def step(m, s): ...\ndef signal(e, s): return 1\ndef migrate(o): return 2")
    assert full.signal is not None and full.migrate is not None
    assert full.migrate(None) == 2


@given(st.lists(st.text(max_size=30), max_size=8), st.integers(0, 60))
def test_prints_are_kept_up_to_the_limit(texts: list[str], most: int) -> None:
    code = load(bundle_of("def step(m, s):\n    for t in m: print(t, end='')"), most)
    for _turn in range(2):
        code.step(texts, None)  # type: ignore[arg-type]
        whole = "".join(texts).encode("utf-8", "backslashreplace")
        printed = code.printed()
        if len(whole) <= most:
            assert printed == whole.decode()
        else:
            kept, cut = printed.encode(), b"... (output cut)\n"
            assert kept.endswith(cut)
            assert whole.startswith(kept[: -len(cut)])
            assert len(kept) <= most + len(cut)
        assert code.printed() == ""


def test_print_takes_its_usual_arguments() -> None:
    code = loaded("print('at load')\ndef step(m, s): print(1, 'b', sep='-', end='!', flush=True)")
    code.step(None, None)  # type: ignore[arg-type]
    assert code.printed() == "1-b!"


def test_an_endless_print_keeps_memory_small() -> None:
    code = loaded("def step(m, s):\n    for n in range(20000): print('x' * 1000)")
    code.step(None, None)  # type: ignore[arg-type]
    assert len(code.printed()) < 66_000


def test_tracebacks_show_the_lines_of_their_own_version() -> None:
    for line in ("1 / 0", "2 / 0"):
        code = loaded(f"def step(m, s):\n    return {line}")
        with pytest.raises(ZeroDivisionError) as caught:
            code.step(None, None)  # type: ignore[arg-type]
        assert f"return {line}" in str(caught.getrepr(style="native"))


def test_code_that_is_dropped_is_collected() -> None:
    code = loaded("class Marked: ...\ndef step(m, s): return Marked")
    assert any(getattr(one, "__name__", "") == "Marked" for one in gc.get_objects())
    del code
    gc.collect()
    assert not any(
        getattr(one, "__name__", "") == "Marked" for one in gc.get_objects() if type(one) is type
    )


def test_patterns_are_run_out_of_the_bundle_whatever_the_release_has() -> None:
    code = "def init(message, me): ...\ndef step(message, state):\n    return mint.WORD, None\n"
    sources = [
        Source("caps", True, ""),
        Source("caps.patterns", True, ""),
        Source("caps.patterns.mint", False, "WORD = 'as it was'\n"),
        Source("m", False, "from caps.patterns import mint\n" + code),
    ]
    loaded = load(Bundle("m", "3.11", tuple(sources)))
    assert loaded.step(None, None) == ("as it was", None)  # type: ignore[arg-type]
    assert "caps.patterns.mint" not in loaded.records


def test_of_ours_only_patterns_and_the_face_are_found_inside_a_step() -> None:
    body = "from caps.patterns import mint\ndef init(message, me): ...\ndef step(message, state):\n"
    files = {"m.py": (body + "    from caps.value import Foreign\n").encode()}
    loaded = load(collect("m.py", files.get))
    assert {"mint.Mint", "mint.Purse"} <= set(loaded.records)
    with pytest.raises(ImportRefused, match="import it from avm itself"):
        loaded.step(None, None)  # type: ignore[arg-type]
