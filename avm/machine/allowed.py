"""What a step may import, and what to use instead of the rest. Pure.

Beside the journey: read when code is collected and again when a worker runs it. The list
catches mistakes; it is no boundary, that is the operating system's.
"""

import sys

STDLIB = frozenset(
    (
        *("__future__", "abc", "base64", "bisect", "collections", "collections.abc", "copy"),
        *("dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "hashlib"),
        *("heapq", "itertools", "json", "math", "operator", "re", "statistics", "string"),
        *("struct", "textwrap", "typing", "unicodedata", "zlib"),
    )
)
OURS = frozenset({"avm", "caps", "dht"})
PATTERNS = "caps.patterns"

CLOCK = "use message.now, the turn's time"
CHANCE = "use message.id, unique and the same in every replay, or a random value sent to you"
FILES = "pass the content in with a message or with a grant"
NETWORK = "send a message to an adapter that you were granted"
WAITING = "send a message, with after_s as a timer, instead of waiting"
PRINTING = "print() shows in the machine's log"
STATE = "keep it in the state"
FACE = "import it from avm itself"
NOTHING = "it has no place in a pure step"
UNKNOWN = "only files beside the machine's and pure parts of the standard library may be imported"

REMEDIES = {
    CLOCK: "time calendar zoneinfo timeit sched",
    CHANCE: "random secrets uuid",
    FILES: """os pathlib io shutil tempfile glob fnmatch posix posixpath fileinput csv mmap stat
        tarfile zipfile gzip bz2 lzma configparser tomllib""",
    NETWORK: """socket ssl urllib http requests httpx aiohttp smtplib ftplib email imaplib
        poplib xmlrpc socketserver selectors select webbrowser wsgiref""",
    WAITING: """threading asyncio multiprocessing concurrent subprocess queue trio anyio signal
        contextvars""",
    PRINTING: "logging sys warnings traceback pprint argparse getpass",
    STATE: "sqlite3 shelve dbm pickle marshal weakref",
    FACE: "caps dht avm",
}


def permitted(module: str) -> bool:
    """Whether a step may import this module that is none of its bundle's own."""
    return module in STDLIB or module == "avm" or within_patterns(module)


def within_patterns(module: str) -> bool:
    """Whether it is the library of capability patterns or a part of it."""
    return module == PATTERNS or module.startswith(PATTERNS + ".")


def hidden(module: str) -> bool:
    """Whether a file of this name would hide a module of Python's, or of ours."""
    return module in sys.stdlib_module_names or module in OURS


def remedy(module: str) -> str:
    """What to do instead of importing this module."""
    top = module.partition(".")[0]
    if top in STDLIB:
        return f"import {top} itself"
    for what, names in REMEDIES.items():
        if top in names.split():
            return what
    if top in sys.stdlib_module_names:
        return NOTHING
    return UNKNOWN


def absence(statement: str, module: str, *, is_within: bool) -> str:
    """The sentence for an import of a file that there is not; `is_within` a package that there is."""
    why = f"`{statement}`: there is no {module.replace('.', '/')}.py beside the machine's file"
    if is_within:
        return why
    if remedy(module) != UNKNOWN:
        return refusal(statement, module)
    return f"{why}; besides, only pure parts of the standard library may be imported"


def refusal(statement: str, module: str) -> str:
    """The sentence for an import that is not allowed."""
    return f"`{statement}` is not allowed in a step: {remedy(module)}"
