"""Counts what is in a web server's access log (combined format), fed to it line by line.

    avm-host create logstats.py
    zcat logs/access.log.gz | avm-host send logstats.line --lines -
    avm-host call logstats.summary

A line that is none is refused with a word; the others of its batch are then sent again without it.
"""

import re
from dataclasses import replace

from avm import Map, Me, Message, Refused, Step, record

LINE = re.compile(
    r'(?P<host>\S+) \S+ \S+ \[[^\]]+\] "(?P<method>[A-Z]+) (?P<path>\S+) HTTP/[0-9.]+" '
    r'(?P<status>[1-5][0-9][0-9]) (?P<bytes>[0-9]+|-)(?: "[^"]*" "(?:[^"\\]|\\.)*")?'
)
TOP = 10


@record
class Stats:
    lines: int = 0
    bytes: int = 0
    by_status: Map[str, int] = Map()
    by_path: Map[str, int] = Map()


def init(message: Message, me: Me) -> Step[Stats]:
    return message.answer({"line": me("line"), "summary": me("summary")}), Stats()


def step(message: Message, state: Stats) -> Step[Stats]:
    match message.context, message.content:
        case "line", str(line):
            return message.answer(None), _counted(state, line)
        case "line", _:
            raise Refused("not a text")
        case "summary", None:
            return message.answer(_summary(state)), state
    raise Refused


def _counted(state: Stats, line: str) -> Stats:
    found = LINE.fullmatch(line)
    if found is None:
        raise Refused("not a line of the combined format")
    path = found["path"].partition("?")[0]
    return replace(
        state,
        lines=state.lines + 1,
        bytes=state.bytes + (0 if found["bytes"] == "-" else int(found["bytes"])),
        by_status=_one_more(state.by_status, found["status"]),
        by_path=_one_more(state.by_path, path),
    )


def _one_more(counts: Map[str, int], key: str) -> Map[str, int]:
    return counts.put(key, counts.get(key, 0) + 1)


def _summary(state: Stats) -> dict[str, object]:
    busiest = sorted(state.by_path.items(), key=lambda entry: (-entry[1], entry[0]))
    return {
        "lines": state.lines,
        "bytes": state.bytes,
        "by_status": state.by_status,
        "paths": len(state.by_path),
        "busiest": busiest[:TOP],
    }
