"""Makes access.log.gz: a made-up web server's log of one day, the same on every run.

python make_access_log.py access.log.gz
"""

import gzip
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

LINES = 10_000
SEED = 20_240_229
START = datetime(2024, 2, 29, tzinfo=UTC)
PAGES = ["/", "/about", "/blog", "/contact", "/pricing", "/docs", "/docs/install", "/login"]
PAGES += [f"/blog/{number}" for number in range(1, 41)]
ASSETS = ["/style.css", "/app.js", "/logo.svg", "/favicon.ico"]
PROBES = ["/wp-login.php", "/.env", "/admin", "/phpmyadmin/"]
AGENTS = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:122.0) Gecko/20100101 Firefox/122.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Safari/605.1.15",
    "curl/8.5.0",
    "ExampleBot/1.0 (+https://bot.example/)",
]
# What real logs also hold: none of these is a line of the combined format.
ODD = {
    1200: r'198.51.100.7 - - [29/Feb/2024:02:50:01 +0000] "\x16\x03\x01\x02\x00\x01" 400 157 "-" "-"',
    3456: '198.51.100.9 - - [29/Feb/2024:08:17:45 +0000] "-" 408 - "-" "-"',
    5000: "198.51.100.23 - - [29/Feb/2024:12:0",
    7777: "--- log rotated ---",
    9001: '203.0.113.5 - - [29/Feb/2024:21:36:10 +0000] "GET / HTTP/1.1" 999 12 "-" "curl/8.5.0"',
}


def lines() -> Iterator[str]:
    chance = random.Random(SEED)
    now = START
    for number in range(1, LINES + 1):
        now += timedelta(seconds=chance.choice((1, 4, 8, 12, 17)))
        yield ODD.get(number) or line(chance, now)


def line(chance: random.Random, now: datetime) -> str:
    host = f"192.0.2.{chance.randrange(1, 255)}"
    if chance.random() < 0.05:
        host = f"2001:db8::{chance.randrange(1, 4096):x}"
    kind = chance.random()
    method, status, agent = "GET", 200, chance.choice(AGENTS)
    if kind < 0.02:
        path, status = chance.choice(PROBES), 404
    elif kind < 0.35:
        path, status = chance.choice(ASSETS), chance.choice((200, 200, 304))
    elif kind < 0.38:
        method, path, status = "POST", "/login", chance.choice((302, 401))
    else:
        path = chance.choice(PAGES) + chance.choice(("", "", "", "?ref=news", "?page=2"))
        status = 500 if chance.random() < 0.003 else 200
    size = "-" if status in (302, 304) else str(chance.randrange(180, 48_000))
    when = now.strftime("%d/%b/%Y:%H:%M:%S +0000")
    return f'{host} - - [{when}] "{method} {path} HTTP/1.1" {status} {size} "-" "{agent}"'


def main() -> None:
    text = "".join(f"{one}\n" for one in lines())
    with open(sys.argv[1], "wb") as file:
        file.write(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main()
