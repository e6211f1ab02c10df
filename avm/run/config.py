"""The configuration of a host: every key, its default and its bounds, from the file and from `--set`.

Before the journey. A key is `section.field`; a key there is not is refused with the nearest there is.
"""

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Any

from avm.limits import Limits
from avm.link.limits import LinkLimits
from avm.recording.limits import RecordLimits
from avm.run.errors import ConfigRefused
from avm.run.ranges import LINK_KEYS, LINKS, NODE, NODE_KEYS, Number, contradiction, range_of
from caps.capability import parse_text, to_text
from caps.errors import CapsError, Malformed
from caps.identity import Endpoint, Route, parse_endpoint, parse_route
from dht.settings import Settings

Setting = Number | str | tuple[str, ...]
ANY_PORT = ":0"
# What each setting of the network is like, said where it is not.
LIKE = {
    "listen": "it is like 0.0.0.0:4433, and port 0 is some free one",
    "advertise": "it is like 192.0.2.1:4433, the IP and port at which others reach this host",
    "bootstrap": "`avm-host status` of the other host shows its route",
    "beacon": "it is like 239.192.77.1:4434",
}
# What `--set` takes for true and false beside these.
SWITCHES = {"on": True, "off": False}
SECTIONS = ("limits", "network", "commons", "links", "dht", "record")


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Where the host is in the network; without `listen` it is in none.

    `listen` and `advertise` are endpoints in text, `bootstrap` routes, `beacon` a multicast group.
    """

    listen: str = ""
    advertise: str = ""
    bootstrap: tuple[str, ...] = ()
    beacon: str = ""

    @property
    def endpoint(self) -> Endpoint | None:
        """Where it listens; None for some free port of `ip`."""
        return None if self.listen.endswith(ANY_PORT) else parse_endpoint(self.listen)

    @property
    def ip(self) -> str:
        """The IP of `listen`."""
        return parse_endpoint(_with_port(self.listen)).host_text

    @property
    def advertised(self) -> Endpoint | None:
        """What it tells others, when that is said."""
        return parse_endpoint(self.advertise) if self.advertise else None

    @property
    def group(self) -> Endpoint | None:
        """The multicast group of the beacon; None when it is off."""
        return parse_endpoint(self.beacon) if self.beacon else None

    @property
    def routes(self) -> tuple[Route, ...]:
        """Through whom it joins."""
        return tuple(map(parse_route, self.bootstrap))


@dataclass(frozen=True, slots=True)
class CommonsConfig:
    """Which common capabilities the host answers itself, and whom it asks for the others.

    `origin` is the text of a capability, empty where nobody is asked.
    """

    time: bool = True
    random: bool = True
    inspect: bool = True
    origin: str = ""

    @property
    def off(self) -> str:
        """The names of those it does not answer, parted by commas."""
        names = ("time", "random", "inspect")
        return ",".join(f"{name}~" for name in names if not getattr(self, name))

    @property
    def wire(self) -> bytes:
        """The origin in wire form."""
        return parse_text(self.origin).wire() if self.origin else b""


@dataclass(frozen=True, slots=True)
class Config:
    """What holds for a host: the section `host` is these fields, the others have their own.

    `workers` 0 means one a core.
    """

    limits: Limits = field(default_factory=Limits)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    commons: CommonsConfig = field(default_factory=CommonsConfig)
    links: LinkLimits = LINKS
    dht: Settings = NODE
    record: RecordLimits = field(default_factory=RecordLimits)
    workers: int = 0

    @classmethod
    def read(
        cls,
        file: Path,
        settings: Iterable[str] = (),
        options: Mapping[str, object] = MappingProxyType({}),
    ) -> "Config":
        """The defaults, then the file where there is one, `KEY=VALUE` texts, the options; ConfigRefused."""
        said = _parse(file)
        for setting in settings:
            key, value = _setting(setting)
            said[key] = (value, f"--set {key}")
        for key, option in options.items():
            said[key] = (option, f"--{key.partition('.')[2]}")
        return _made(said)

    def items(self) -> Iterator[tuple[str, Setting]]:
        """Every key with what holds, in order."""
        for one in _fields(Config):
            yield f"host.{one.name}", getattr(self, one.name)
        for one in fields(NetworkConfig):
            yield f"network.{one.name}", getattr(self.network, one.name)
        for one in fields(CommonsConfig):
            yield f"commons.{one.name}", getattr(self.commons, one.name)
        for name in LINK_KEYS:
            yield f"links.{name}", getattr(self.links, name)
        for name in NODE_KEYS:
            yield f"dht.{name}", getattr(self.dht, name)
        for one in fields(Limits):
            yield f"limits.{one.name}", getattr(self.limits, one.name)
        for one in fields(RecordLimits):
            yield f"record.{one.name}", getattr(self.record, one.name)

    def to_toml(self) -> str:
        """What holds, as a configuration file."""
        lines: list[str] = []
        section = ""
        for key, value in self.items():
            here, _, name = key.partition(".")
            if here != section:
                lines.append(f"\n[{here}]" if section else f"[{here}]")
                section = here
            lines.append(f"{name} = {json.dumps(value)}")
        return "\n".join(lines) + "\n"


def _fields(cls: type[Config]) -> list[Field[Any]]:
    return [one for one in fields(cls) if one.name not in SECTIONS]


def defaults() -> dict[str, Setting]:
    """Every key with its default."""
    return dict(Config().items())


def _parse(file: Path) -> dict[str, tuple[object, str]]:
    try:
        tables = tomllib.loads(file.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigRefused(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigRefused(f"{file} is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigRefused(f"{file}: {error}") from None
    return {key: (value, f"{file}: {key}") for key, value in _flat(tables, "")}


def _flat(table: Mapping[str, object], prefix: str) -> Iterator[tuple[str, object]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _setting(text: str) -> tuple[str, object]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigRefused(f"--set {text}: write it as --set KEY=VALUE, like limits.turn_s=1")
    if value in SWITCHES:
        return key.strip(), SWITCHES[value]
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        raise ConfigRefused(
            f"--set {text}: {value!r} is no number, and a text is in quotes"
        ) from None


def _made(said: Mapping[str, tuple[object, str]]) -> Config:
    known = defaults()
    sections: dict[str, dict[str, Any]] = {name: {} for name in ("host", *SECTIONS)}
    for key, (value, place) in said.items():
        if key not in known:
            raise ConfigRefused(f"{place}: there is no such key{_nearest(key, known)}")
        section, _, name = key.partition(".")
        if section == "network":
            sections[section][name] = _placed(name, value, place)
        elif section == "commons":
            sections[section][name] = _common(name, value, place)
        else:
            sections[section][name] = _checked(key, value, place, isinstance(known[key], int))
    before = Config()
    parts = {name: replace(getattr(before, name), **sections[name]) for name in SECTIONS}
    config = replace(before, **parts, **sections["host"])
    if not config.network.listen and config.network != before.network:
        needs = "a host that joins a network needs --listen, or network.listen"
        raise ConfigRefused(f"{needs}, like 0.0.0.0:4433")
    why = contradiction(dict(config.items()))
    if why:
        raise ConfigRefused(why)
    return config


def _placed(name: str, value: object, place: str) -> Setting:
    """An endpoint, or routes, in text."""
    try:
        if name == "bootstrap":
            if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                raise Malformed("a list of routes is expected")
            return tuple(str(parse_route(one)) for one in value)
        if not isinstance(value, str):
            raise Malformed("an endpoint is IP:PORT in quotes")
        if name == "beacon" and value and not _is_group(parse_endpoint(value)):
            raise Malformed("an IPv4 multicast group is expected")
        if name == "listen" and value.endswith(ANY_PORT):
            parse_endpoint(_with_port(value))
            return value
        if name == "advertise" and value and not any(parse_endpoint(value).ip):
            raise Malformed("nobody can be reached at an IP that means all of a host's")
        return str(parse_endpoint(value)) if value else ""
    except Malformed as error:
        raise ConfigRefused(f"{place}: {_wrong(value)!r}: {error}; {LIKE[name]}") from None


def _wrong(value: object) -> object:
    """Of several routes the first that is none."""
    for one in value if isinstance(value, list) else ():
        try:
            parse_route(one)
        except (Malformed, TypeError, AttributeError):
            return one
    return value


def _common(name: str, value: object, place: str) -> bool | str:
    """Whether a common capability is answered here, or the text of the origin's capability."""
    if name != "origin":
        if type(value) is not bool:
            raise ConfigRefused(f"{place}: {value!r} is neither true nor false")
        return value
    try:
        if not isinstance(value, str) or (value and value.endswith("~")):
            raise Malformed("the origin is a capability: avm:... in quotes")
        return to_text(parse_text(value)) if value else ""
    except CapsError as error:
        raise ConfigRefused(f"{place}: {error}") from None


def _is_group(endpoint: Endpoint) -> bool:
    """An IPv4 multicast group (RFC 5771)."""
    return len(endpoint.ip) == 4 and 224 <= endpoint.ip[0] < 240


def _with_port(text: str) -> str:
    return text.removesuffix(ANY_PORT) + ":1" if text.endswith(ANY_PORT) else text


def _nearest(key: str, known: Iterable[str]) -> str:
    by_name = {one.partition(".")[2]: one for one in known}
    name = key.rpartition(".")[2]
    section = key.partition(".")[0]
    if section in by_name:  # a key's name in the place of its section
        return f"; did you mean {by_name[section]}?"
    near = get_close_matches(name, by_name, 1, 0.5)
    if near:
        return f"; did you mean {by_name[near[0]]}?"
    return "; `avm-host config` prints those there are"


def _checked(key: str, value: object, place: str, whole: bool) -> Number:
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        kind = "an integer" if whole else "a number"
        raise ConfigRefused(f"{place}: {value!r} is not {kind}")
    number: Number = value if whole else float(value)
    least, most = range_of(key, whole)
    if not isfinite(number) or number < least:
        raise ConfigRefused(f"{place}: {value!r} is too small: at least {least}")
    if most is not None and number > most:
        raise ConfigRefused(f"{place}: {value!r} is too large: at most {most}")
    return number


assert all(one.default is not MISSING for one in fields(Limits)), "every limit has a default"
