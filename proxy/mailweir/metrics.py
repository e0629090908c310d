"""Every metric of mailweir, in one table.

On the path of every command a counter is a plain number: `COMMANDS.cell("mx", "smtp", "MAIL")` once,
then `cell.add()`. Prometheus's objects are made from them when somebody scrapes. Labels come from closed
sets only; never an address, a domain, a session or a reply's text.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, Generic, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 600.0)
OCTETS = (1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9)


class Cell:
    """One number: a counter or a gauge with its labels."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def add(self, amount: float = 1) -> None:
        self.value += amount

    def set(self, value: float) -> None:
        self.value = value


class Buckets:
    """One histogram with its labels."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


_Cell = TypeVar("_Cell")


class Family(ABC, Generic[_Cell]):
    """One metric with all its label values. A second family of a name is a `ValueError`."""

    def __init__(self, name: str, help: str, labels: tuple[str, ...] = ()) -> None:
        if name in FAMILIES:
            raise ValueError(f"there is a metric {name} already")
        self.name = name
        self.help = help
        self.labels = labels
        self.cells: dict[tuple[str, ...], _Cell] = {}
        FAMILIES[name] = self

    def cell(self, *values: str) -> _Cell:
        """The cell with these label values, in the order of `labels`. Look it up once and keep it."""
        found = self.cells.get(values)
        if found is None:
            if len(values) != len(self.labels):
                raise ValueError(f"{self.name} has the labels {self.labels}, not {values}")
            found = self.cells[values] = self._new()
        return found

    def forget(self) -> None:
        """Drop all cells: what they told of is gone. Whoever kept one writes to nobody."""
        self.cells.clear()

    @abstractmethod
    def _new(self) -> _Cell: ...

    @abstractmethod
    def collect(self) -> Metric:
        """What Prometheus is told."""


FAMILIES: "dict[str, Family[Any]]" = {}


class Counter(Family[Cell]):
    """Only goes up. The name ends in `_total`."""

    def _new(self) -> Cell:
        return Cell()

    def collect(self) -> Metric:
        family = CounterMetricFamily(self.name, self.help, labels=self.labels)
        for values, cell in self.cells.items():
            family.add_metric(values, cell.value)
        return family


class Gauge(Family[Cell]):
    """Goes up and down."""

    def _new(self) -> Cell:
        return Cell()

    def collect(self) -> Metric:
        family = GaugeMetricFamily(self.name, self.help, labels=self.labels)
        for values, cell in self.cells.items():
            family.add_metric(values, cell.value)
        return family


class Histogram(Family[Buckets]):
    """How often values fell below each of `bounds`."""

    def __init__(
        self, name: str, help: str, labels: tuple[str, ...] = (), bounds: tuple[float, ...] = SECONDS
    ) -> None:
        super().__init__(name, help, labels)
        self.bounds = bounds

    def _new(self) -> Buckets:
        return Buckets(self.bounds)

    def collect(self) -> Metric:
        family = HistogramMetricFamily(self.name, self.help, labels=self.labels)
        names = [*map(str, self.bounds), "+Inf"]
        for values, cell in self.cells.items():
            family.add_metric(values, list(zip(names, accumulate(cell.counts), strict=True)), cell.sum)
        return family


class Everything(Collector):
    """Hands all families to a registry of prometheus_client."""

    def collect(self) -> Iterator[Metric]:
        for family in FAMILIES.values():
            yield family.collect()


CONNECTIONS = Counter("mailweir_connections_total", "Client connections accepted.", ("listener", "protocol"))
CONNECTIONS_REFUSED = Counter(
    "mailweir_connections_refused_total",
    "Client connections closed at once, by the limit they would have passed.",
    ("listener", "reason"),
)
SESSIONS = Gauge("mailweir_sessions_active", "Sessions that are open now.", ("listener", "protocol"))
SESSION_SECONDS = Histogram(
    "mailweir_session_duration_seconds", "How long sessions lasted.", ("listener", "protocol")
)
COMMANDS = Counter(
    "mailweir_commands_total",
    "Commands by verb; what we don't know is `other`.",
    ("listener", "protocol", "command"),
)
MESSAGES = Counter(
    "mailweir_messages_total",
    "Messages by where they were met and what became of them.",
    ("listener", "protocol", "stage", "verdict"),
)
MESSAGE_OCTETS = Histogram(
    "mailweir_message_size_bytes", "Sizes of messages as they came.", ("listener", "protocol"), OCTETS
)
LOGINS = Counter(
    "mailweir_logins_total",
    "Logins: upstream accepted or rejected them, or a plugin or mailweir itself refused them.",
    ("listener", "protocol", "result"),
)
VERDICTS = Counter(
    "mailweir_verdicts_total",
    "Verdicts of plugins by hook; mode shadow: what would have been done.",
    ("listener", "plugin", "hook", "verdict", "mode"),
)
HOOK_SECONDS = Histogram(
    "mailweir_plugin_hook_duration_seconds", "How long plugins took to answer.", ("plugin", "hook")
)
PLUGIN_ERRORS = Counter(
    "mailweir_plugin_errors_total",
    "Exceptions, time-outs and wrong answers of plugins.",
    ("plugin", "hook", "kind"),
)
TELLS_DROPPED = Counter(
    "mailweir_plugin_tells_dropped_total",
    "Tell calls dropped because a plugin's queue was full.",
    ("plugin",),
)
UPSTREAM_CONNECTS = Counter(
    "mailweir_upstream_connects_total", "Attempts to reach an upstream.", ("upstream", "result")
)
UPSTREAM_CONNECT_SECONDS = Histogram(
    "mailweir_upstream_connect_duration_seconds", "How long reaching an upstream took.", ("upstream",)
)
UPSTREAM_LOST = Counter(
    "mailweir_upstream_lost_total",
    "Upstream connections that ended, or had to be cut off, before the session did.",
    ("upstream",),
)
HANDSHAKES = Counter(
    "mailweir_tls_handshakes_total",
    "TLS handshakes; version: of those that succeeded, reason: why others did not.",
    ("listener", "leg", "result", "version", "reason"),
)
RESUMED = Counter(
    "mailweir_tls_resumed_total",
    "TLS handshakes that used keys of an earlier connection again.",
    ("listener", "leg"),
)
CERTIFICATE_EXPIRY = Gauge(
    "mailweir_tls_certificate_expiry_timestamp_seconds",
    "When a certificate of ours expires.",
    ("certificate",),
)
CERTIFICATES_OK = Gauge(
    "mailweir_tls_certificates_last_reload_successful",
    "0 if files of certificates changed to something unusable; the old ones serve on.",
)
OCTETS_CARRIED = Counter(
    "mailweir_octets_total", "Octets received from each side.", ("listener", "protocol", "direction")
)
PROTOCOL_ERRORS = Counter(
    "mailweir_protocol_errors_total", "What one side said against the rules.", ("listener", "protocol", "leg")
)
RECIPIENTS_ADDED = Counter(
    "mailweir_recipients_added_total",
    "Recipients that plugins added, by upstream's answer.",
    ("listener", "protocol", "result"),
)
LIMITS = Counter(
    "mailweir_limits_total",
    "How often a limit of ours was reached, by the name that the configuration gives it.",
    ("listener", "protocol", "limit"),
)
SPLICED = Counter(
    "mailweir_sessions_spliced_total",
    "Sessions that became raw octets: nobody wanted to see more (login), or nothing more can be understood.",
    ("listener", "protocol", "why"),
)
SPOOL_OCTETS = Gauge("mailweir_spool_bytes", "Octets of messages that wait for a verdict.")
LOOP_LAG = Gauge(
    "mailweir_event_loop_lag_seconds",
    "How late the event loop ran a timer at worst, within the last half minute to a minute.",
)
RELOAD_OK = Gauge(
    "mailweir_config_last_reload_successful", "1 if the configuration was read without a mistake."
)
BUILD = Gauge("mailweir_build_info", "Version of mailweir.", ("version",))
