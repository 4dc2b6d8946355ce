"""The figures as tables, and what was aimed at beside what was reached."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.live.fan_out import Sample
from benchmarks.live.stages import Latency, Restart
from benchmarks.live.subjects import Subject

MAX_CPU_US = 10
MIN_TIMES_LESS_THAN_STOCK = 25
MAX_P99_MS = 50
MAX_KB_PER_SOCKET = 80
MIN_JOINS_PER_SECOND = 300
OURS, STOCK, FLASK = "desk", "channels_stock", "flask_socketio"


@dataclass
class FanOut:
    """Of every subject and room size, the samples of all rounds."""

    subjects: Sequence[Subject]
    sizes: Sequence[int]
    samples: dict[tuple[str, int], list[Sample]] = field(default_factory=dict)

    def add(self, subject: Subject, found: dict[int, Sample]) -> None:
        for size, sample in found.items():
            self.samples.setdefault((subject.name, size), []).append(sample)

    def cpu_us(self, name: str, size: int) -> float:
        return statistics.median(sample.cpu_us for sample in self.samples[name, size])

    def lost(self, name: str) -> int:
        return sum(
            sample.lost for (of, _), found in self.samples.items() if of == name for sample in found
        )


def fan_out_table(found: FanOut) -> Iterator[str]:
    largest = found.sizes[-1]
    heads = [f"{size:,} sockets, CPU µs" for size in found.sizes]
    yield from _header("a delivery of 400 B", *heads, "times the desk's")
    unit = found.cpu_us(OURS, largest)
    for subject in found.subjects:
        cpus = [found.cpu_us(subject.name, size) for size in found.sizes]
        lost = found.lost(subject.name)
        yield _row(
            subject.label + (f" ({lost} lost)" if lost else ""),
            *(f"{cpu:.1f}" for cpu in cpus),
            f"{cpus[-1] / unit:.2f}",
        )


def restart_table(found: Restart) -> Iterator[str]:
    yield from _header("after a restart", "a second", "CPU ms each")
    for name, step in (("connect and sign in", found.connects), ("join a room", found.joins)):
        yield _row(name, f"{step.per_second:,.0f}", f"{step.cpu_ms:.2f}")


def targets(found: FanOut, soon: Latency, back: Restart, *, sockets: int) -> Iterator[str]:
    largest = found.sizes[-1]
    ours = found.cpu_us(OURS, largest)
    stock, flask = (found.cpu_us(name, largest) / ours for name in (STOCK, FLASK))
    yield from _header("target", "reached", "measured")
    for target, reached, measured in (
        (f"≤ {MAX_CPU_US} µs a delivery at {largest:,}", ours <= MAX_CPU_US, f"{ours:.1f} µs"),
        (
            f"≥ {MIN_TIMES_LESS_THAN_STOCK} times less than stock group_send",
            stock >= MIN_TIMES_LESS_THAN_STOCK,
            f"{stock:.1f} times",
        ),
        ("less than Flask-SocketIO", flask > 1, f"{flask:.1f} times"),
        (
            f"commit to the last socket, p99 < {MAX_P99_MS} ms",
            soon.p99 < MAX_P99_MS,
            f"p50 {soon.p50:.1f} ms, p99 {soon.p99:.1f} ms",
        ),
        (
            f"< {MAX_KB_PER_SOCKET} KB a socket",
            back.kb_per_socket < MAX_KB_PER_SOCKET,
            f"{back.kb_per_socket:.1f} KB",
        ),
        (f"{sockets:,} sockets on one process", back.held == sockets, f"{back.held:,} held"),
        (
            f"≥ {MIN_JOINS_PER_SECOND} joins a second",
            back.joins.per_second >= MIN_JOINS_PER_SECOND,
            f"{back.joins.per_second:,.0f}",
        ),
    ):
        yield _row(target, "yes" if reached else "NO", measured)


def _header(*cells: str) -> Iterator[str]:
    yield _row(*cells)
    yield "|---" * len(cells) + "|"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
