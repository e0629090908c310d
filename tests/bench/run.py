"""Measures mailweir beside HAProxy: same machine, same load, same run, so that the ratios mean something.

The figure to compare is CPU: user and system time of the peer's processes per 1000 operations (messages,
round trips, fetches of a whole mailbox), the best of all rounds, since a busy machine only ever adds. Rates
say little where load, peer and server share the cores.

    python -m bench.run [peer or cell ...]      BENCH_SECONDS (2) a cell, BENCH_ROUNDS (3) rounds
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.idle import Memory, memory
from bench.measure import Figures, Load, measure
from bench.peers import PEERS
from end2end.dovecot import PASSWORD, Dovecot
from end2end.machine import ROOT, Daemon, free_port, locate
from end2end.tls import issue

KIB, MIB = 1 << 10, 1 << 20
MAILBOX = 2000
USER = "user1"

CELLS: dict[str, tuple[str, Load]] = {
    "SMTP 1 KiB, 20 sessions": ("smtp", Load("smtp", 20, size=KIB)),
    "SMTP 1 KiB, connection a message": ("smtp", Load("smtp", 20, 1, size=KIB)),
    "SMTP 1 MiB, 20 sessions": ("smtp", Load("smtp", 20, size=MIB)),
    "IMAP NOOP, 20 sessions": ("imap", Load("imap-noop", 20)),
    "IMAP fetch of 2000 messages": ("imap", Load("imap-fetch", 4)),
    "POP3 RETR, 4 sessions": ("pop3", Load("pop3-retr", 4)),
}
MUST = {("SMTP 1 KiB, 20 sessions", "mailweir"): 4.0, ("SMTP 1 MiB, 20 sessions", "mailweir"): 3.0}
"""The most that a peer may cost in a cell, as a multiple of HAProxy's CPU."""

SMTP_ONLY = {"mailweir quiet"}
"""Peers that differ from others only in what plugins do with each message of SMTP."""


def takes_part(cell: str, peer: str) -> bool:
    """Whether this peer is measured in this cell."""
    protocol, _ = CELLS[cell]
    if peer == "mailweir whole":
        return protocol != "imap"
    return protocol == "smtp" or peer not in SMTP_ONLY


def build(name: str) -> Path:
    """Compile one of the C programs beside this file, if it isn't there or is older."""
    source = Path(__file__).with_name(f"{name}.c")
    program = ROOT / ".build" / "bench" / name
    program.parent.mkdir(parents=True, exist_ok=True)
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(
            [str(locate("cc")), "-O2", "-Wall", "-Wextra", "-o", str(program), str(source)], check=True
        )
    return program


def fill(dovecot: Dovecot) -> None:
    """A mailbox of `MAILBOX` messages: half of them 2 KiB, a third 10 KiB, some 100 KiB."""
    user = dovecot.folder / "homes"
    owner = user.stat()
    inbox = user / USER / "Maildir" / "cur"
    inbox.mkdir(parents=True)
    line = "abcdefghij klmnop qrstuvwxyz " * 2 + "0123456789 0123456\n"
    for number in range(MAILBOX):
        size = (
            2 * KIB if number % 2 else 100 * KIB if number % 40 == 0 else 10 * KIB if number % 3 else 6 * KIB
        )
        head = (
            f"From: s{number}@example.com\nSubject: message {number}\nMessage-ID: <{number}@example.com>\n\n"
        )
        (inbox / f"{1700000000 + number}.M{number}P1.bench:2,S").write_text(head + line * (size // len(line)))
    for path in [user / USER, *(user / USER).rglob("*")]:
        os.chown(path, owner.st_uid, owner.st_gid)


def run(wanted: list[str], seconds: float, rounds: int) -> dict[tuple[str, str], list[Figures]]:
    """All figures by cell and peer. `wanted` narrows cells and peers by parts of their names."""
    cells = {name: cell for name, cell in CELLS.items() if _wants(wanted, name, CELLS)}
    peers = {name: peer for name, peer in PEERS.items() if name == "haproxy" or _wants(wanted, name, PEERS)}
    loadgen, smtpsink = build("loadgen"), build("smtpsink")
    figures: dict[tuple[str, str], list[Figures]] = {}
    with tempfile.TemporaryDirectory(prefix="mailweir-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        servers: dict[str, int] = {"smtp": free_port()}
        sink = Daemon([smtpsink, str(servers["smtp"])], folder / "sink.log")
        dovecot = None
        try:
            sink.wait_for_ports(servers["smtp"])
            if any(protocol != "smtp" for protocol, _ in cells.values()):
                (folder / "dovecot").mkdir(mode=0o755)
                dovecot = Dovecot(folder / "dovecot", issue(folder / "tls"))
                fill(dovecot)
                servers |= {protocol: dovecot.ports[protocol] for protocol in ("imap", "pop3")}
            for turn in range(rounds):
                for cell, (protocol, load) in cells.items():
                    for peer, command in peers.items():
                        if not takes_part(cell, peer):
                            continue
                        place = folder / f"{turn}-{len(figures)}-{peer}-{cell}".replace(" ", "-")
                        place.mkdir()
                        port = free_port()
                        daemon = Daemon(command(place, protocol, port, servers[protocol]), place / "log")
                        try:
                            daemon.wait_for_ports(port)
                            measure(loadgen, load, port, daemon.pid, 0.3, (USER, PASSWORD))
                            got = measure(loadgen, load, port, daemon.pid, seconds, (USER, PASSWORD))
                        finally:
                            daemon.stop()
                        figures.setdefault((cell, peer), []).append(got)
                        print(
                            f"{turn + 1} {cell:34} {peer:15} {got.rate:9.0f}/s  p50 {got.median:7.2f} ms"
                            f"  CPU {got.cpu:8.3f} s/1000  {got.memory:5.0f} MB  {got.failures}",
                            flush=True,
                        )
        finally:
            sink.stop()
            if dovecot is not None:
                dovecot.stop()
    return figures


def idle() -> dict[str, Memory]:
    """What HAProxy and mailweir hold while nothing happens."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="mailweir-") as name:
        folder = Path(name)
        server = free_port()
        sink = Daemon([build("smtpsink"), str(server)], folder / "sink.log")
        try:
            sink.wait_for_ports(server)
            for peer in ("haproxy", "mailweir"):
                (folder / peer).mkdir()
                port = free_port()
                daemon = Daemon(PEERS[peer](folder / peer, "smtp", port, server), folder / peer / "log")
                try:
                    daemon.wait_for_ports(port)
                    found[peer] = memory(port, daemon.pid)
                finally:
                    daemon.stop()
        finally:
            sink.stop()
    return found


def _wants(wanted: list[str], name: str, table: object) -> bool:
    """Named, or nothing of its kind is."""
    named = [word for word in wanted if any(word.lower() in key.lower() for key in table)]  # type: ignore[attr-defined]
    return not named or any(word.lower() in name.lower() for word in named)


def report(figures: dict[tuple[str, str], list[Figures]]) -> int:
    """Print the ratios; how many are over what they must keep to, or unsound."""
    over = 0
    cells = list(dict.fromkeys(cell for cell, _ in figures))
    peers = list(dict.fromkeys(peer for _, peer in figures))
    print("\nCPU per operation as a multiple of HAProxy's (best round; in brackets s/1000):\n")
    print("| " + " | ".join(["", *peers]) + " |")
    print("|---" * (len(peers) + 1) + "|")
    for cell in cells:
        floor = min(got.cpu for got in figures[cell, "haproxy"])
        row = [cell]
        for peer in peers:
            rounds = figures.get((cell, peer))
            if rounds is None:
                row.append("")
                continue
            best = min(got.cpu for got in rounds)
            ratio = best / floor if floor else 0.0
            text = f"{ratio:.2f} ({best:.3f})"
            must = MUST.get((cell, peer))
            if not all(got.sound for got in rounds):
                over += 1
                text += " FAILED"
            elif must and ratio > must:
                over += 1
                text += f" OVER {must:g}"
            row.append(text)
        print("| " + " | ".join(row) + " |")
    return over


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    seconds = float(os.environ.get("BENCH_SECONDS", "2"))
    rounds = int(os.environ.get("BENCH_ROUNDS", "3"))
    over = report(run(sys.argv[1:], seconds, rounds))
    print("\nMemory without load:\n\n| | base | a session |\n|---|---|---|")
    for peer, held in idle().items():
        print(f"| {peer} | {held.base:.0f} MB | {held.session:.1f} kB |")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
