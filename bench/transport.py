"""Links beside aioquic's own driver and py-libp2p, and the speed of the DHT, as sections of the bench."""

from pathlib import Path

from bench import dht_speed, link
from bench.figures import Figure, Section
from bench.scale import Scale

# `make bench` gives py-libp2p an interpreter of its own: its requirements are not ours.
LIBP2P = Path(__file__).parent.parent / ".venv" / "libp2p" / "bin" / "python"
TRIP, HUNDREDS = "round trip p50, us", "batches of 100, messages/s"
SHAKES = "handshakes/s"
UNITS = {"round trip p50, us": "us", "p99, us": "us", "bulk, MB/s": "MB/s", SHAKES: "1/s"}
IDLE = ("idle client kB", "idle server kB")


def links(_directory: Path, scale: Scale) -> Section:
    """Round trips and throughput of each stack, and how many times the peers' ours are."""
    libp2p = str(LIBP2P) if LIBP2P.exists() else ""
    found = link.compare(scale.link, libp2p)
    figures = [one for stack, values in found.items() for one in _of_stack(stack, values)]
    ours, aioquic = found["avm"], found["aioquic"]
    rate = ours[HUNDREDS] / aioquic[HUNDREDS]
    figures.append(Figure("batches of 100, avm over aioquic", rate, "times", least=2.0))
    peer = found.get("py-libp2p")
    if peer is not None:
        trip, rate = ours[TRIP] / peer[TRIP], ours[HUNDREDS] / peer[HUNDREDS]
        figures.append(Figure("round trip p50, avm over py-libp2p", trip, "times", most=0.6))
        figures.append(Figure("batches of 100, avm over py-libp2p", rate, "times", least=8.0))
    text = "Links alone, with nothing durable: frames of 200 bytes and batch on loopback between two processes, 32"
    text += " in flight, the stacks in turns. `aioquic` is its own asyncio driver."
    if peer is None:
        text += " py-libp2p is not there; `make bench` installs it."
    return Section("Links", text, figures)


def _of_stack(stack: str, values: dict[str, float]) -> list[Figure]:
    figures = []
    for name, value in values.items():
        if name in UNITS:
            what = name.partition(",")[0]
            figures.append(Figure(f"{stack}, {what}", value, UNITS[name]))
        elif name.endswith(", messages/s"):
            figures.append(Figure(f"{stack}, {name.partition(',')[0]}", value, "messages/s"))
        elif name in IDLE:
            side = name.split()[1]
            figures.append(Figure(f"{stack}, memory of an idle link, {side}", value, "kB"))
    return figures


def dht(_directory: Path, scale: Scale) -> Section:
    """The closest of a full table, and requests answered by a node of its own process."""
    wall, core = dht_speed.requests(scale.dht_s, scale.dht_runs)
    figures = [
        Figure("closest 20 of a full table", dht_speed.closest_us(scale.spread_s), "us", most=5.0),
        Figure("requests answered a second of one core", core, "1/s", least=10_000.0),
        Figure("requests answered a second, one client", wall, "1/s"),
    ]
    text = "A node on one socket of loopback; the requests are finds without a token, padded as every first one is."
    text += " The best of a few runs: a second of a core is one of the node's processor time."
    return Section("The DHT", text, figures)
