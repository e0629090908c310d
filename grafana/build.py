"""Makes grafana/dashboards/*.json. Run `python grafana/build.py` after a change; a test compares.

A dashboard is a list of rows, a row a title and panels, a panel a title, a unit and expressions: the table
below is all there is to edit. `$listener` limits every panel that has the label.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement, StackingMode
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh

FOLDER = Path(__file__).parent / "dashboards"
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
WIDTH, HEIGHT = 8, 7


@dataclass(frozen=True)
class Panel:
    """`series` maps a PromQL expression to its legend; a panel whose legend is empty shows one number."""

    title: str
    about: str
    unit: str
    series: dict[str, str]
    stacked: bool = False


def rate(metric: str, by: str, where: str = 'listener=~"$listener"') -> str:
    return f"sum by ({by}) (rate({metric}{{{where}}}[$__rate_interval]))"


def quantile(q: float, metric: str, by: str, where: str = "") -> str:
    inner = f"sum by (le, {by}) (rate({metric}_bucket{{{where}}}[$__rate_interval]))"
    return f"histogram_quantile({q}, {inner})"


ON = 'listener=~"$listener"'

OVERVIEW = {
    "Now": [
        Panel(
            "Sessions",
            "Client connections open now.",
            "short",
            {f"sum(mailweir_sessions_active{{{ON}}})": ""},
        ),
        Panel(
            "Messages a second",
            "Messages whose fate is known, whatever it was.",
            "short",
            {f"sum(rate(mailweir_messages_total{{{ON}}}[$__rate_interval]))": ""},
        ),
        Panel(
            "Told to try again",
            "Share of messages that were deferred: a plugin, an upstream or the spool is in trouble.",
            "percentunit",
            {
                f'(sum(rate(mailweir_messages_total{{{ON},verdict="deferred"}}[$__rate_interval])) or vector(0))'
                f" / clamp_min(sum(rate(mailweir_messages_total{{{ON}}}[$__rate_interval])), 1e-9)": ""
            },
        ),
    ],
    "Mail": [
        Panel(
            "Messages by verdict",
            "accepted: upstream said so. aborted: client or upstream left in the middle.",
            "short",
            {rate("mailweir_messages_total", "verdict"): "{{verdict}}"},
            stacked=True,
        ),
        Panel(
            "Messages by listener",
            "Where mail is met: handed in, delivered, appended, fetched.",
            "short",
            {rate("mailweir_messages_total", "listener, stage"): "{{listener}} {{stage}}"},
            stacked=True,
        ),
        Panel(
            "Message size",
            "Median and 95th percentile of the octets that came in.",
            "bytes",
            {
                quantile(0.5, "mailweir_message_size_bytes", "protocol", ON): "{{protocol}} median",
                quantile(0.95, "mailweir_message_size_bytes", "protocol", ON): "{{protocol}} 95 %",
            },
        ),
    ],
    "Sessions": [
        Panel(
            "Sessions",
            "Client connections open now.",
            "short",
            {f"sum by (listener) (mailweir_sessions_active{{{ON}}})": "{{listener}}"},
            stacked=True,
        ),
        Panel(
            "New connections",
            "Client connections accepted, a second.",
            "short",
            {rate("mailweir_connections_total", "listener"): "{{listener}}"},
        ),
        Panel(
            "Logins",
            "What upstream, or a plugin before it, said to logins.",
            "short",
            {rate("mailweir_logins_total", "listener, result"): "{{listener}} {{result}}"},
        ),
        Panel(
            "Commands",
            "Commands a second; what mailweir does not know is `other`.",
            "short",
            {rate("mailweir_commands_total", "protocol, command"): "{{protocol}} {{command}}"},
        ),
        Panel(
            "Traffic",
            "Octets received from either side, a second.",
            "Bps",
            {rate("mailweir_octets_total", "listener, direction"): "{{listener}} {{direction}}"},
        ),
        Panel(
            "Broken rules",
            "What clients and upstreams said against their protocol.",
            "short",
            {rate("mailweir_protocol_errors_total", "listener, leg"): "{{listener}} {{leg}}"},
        ),
    ],
    "Plugins": [
        Panel(
            "Verdicts",
            "What plugins decided; mode shadow: what they would have decided.",
            "short",
            {rate("mailweir_verdicts_total", "plugin, verdict, mode"): "{{plugin}} {{verdict}} {{mode}}"},
        ),
        Panel(
            "Time to answer",
            "95th percentile of the time a plugin takes at a hook.",
            "s",
            {quantile(0.95, "mailweir_plugin_hook_duration_seconds", "plugin, hook"): "{{plugin}} {{hook}}"},
        ),
        Panel(
            "Failures",
            "Exceptions, time-outs and wrong answers; the plugin's `on_error` spoke in their place.",
            "short",
            {rate("mailweir_plugin_errors_total", "plugin, hook, kind", ""): "{{plugin}} {{hook}} {{kind}}"},
        ),
    ],
    "Upstreams": [
        Panel(
            "Connects",
            "Attempts to reach an upstream, by result.",
            "short",
            {rate("mailweir_upstream_connects_total", "upstream, result", ""): "{{upstream}} {{result}}"},
        ),
        Panel(
            "Time to connect",
            "95th percentile.",
            "s",
            {quantile(0.95, "mailweir_upstream_connect_duration_seconds", "upstream"): "{{upstream}}"},
        ),
        Panel(
            "Lost",
            "Upstream connections that ended before their session did.",
            "short",
            {rate("mailweir_upstream_lost_total", "upstream", ""): "{{upstream}}"},
        ),
    ],
    "TLS": [
        Panel(
            "Handshakes",
            "By leg and result.",
            "short",
            {
                rate(
                    "mailweir_tls_handshakes_total", "listener, leg, result"
                ): "{{listener}} {{leg}} {{result}}"
            },
        ),
        Panel(
            "Certificates run out in",
            "Time left of each certificate of ours.",
            "s",
            {"mailweir_tls_certificate_expiry_timestamp_seconds - time()": "{{certificate}}"},
        ),
    ],
    "Process": [
        Panel(
            "Event loop lag",
            "How late the loop runs its timers; above 50 ms somebody holds it.",
            "s",
            {"mailweir_event_loop_lag_seconds": "{{instance}}"},
        ),
        Panel(
            "CPU",
            "Cores in use.",
            "short",
            {"rate(process_cpu_seconds_total[$__rate_interval])": "{{instance}}"},
        ),
        Panel(
            "Memory",
            "Resident memory, and octets of messages that wait in the spool.",
            "bytes",
            {
                "process_resident_memory_bytes": "{{instance}} resident",
                "mailweir_spool_bytes": "{{instance}} spool",
            },
        ),
    ],
}


def queries(panel: Panel) -> list[prometheus.Dataquery]:
    return [
        prometheus.Dataquery()
        .datasource(SOURCE)
        .expr(expression)
        .legend_format(legend)
        .ref_id(chr(ord("A") + at))
        for at, (expression, legend) in enumerate(panel.series.items())
    ]


def number(panel: Panel) -> stat.Panel:
    made = stat.Panel().title(panel.title).description(panel.about).unit(panel.unit)
    made = made.datasource(SOURCE).span(WIDTH).height(4).no_value("0")
    for query in queries(panel):
        made = made.with_target(query)
    return made


def graph(panel: Panel) -> timeseries.Panel:
    made = timeseries.Panel().title(panel.title).description(panel.about).unit(panel.unit)
    made = made.datasource(SOURCE).span(WIDTH).height(HEIGHT).min(0).fill_opacity(15 if panel.stacked else 5)
    made = made.legend(
        common.VizLegendOptions()
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    if panel.stacked:
        made = made.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    for query in queries(panel):
        made = made.with_target(query)
    return made


def overview() -> str:
    """The overview dashboard as JSON."""
    made = (
        dashboard.Dashboard("mailweir: overview")
        .uid("mailweir-overview")
        .tags(["mailweir", "mail"])
        .description("What passes through mailweir, what its plugins decide, and how it feels.")
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .readonly()
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(
            dashboard.QueryVariable("listener")
            .label("Listener")
            .datasource(SOURCE)
            .query("label_values(mailweir_connections_total, listener)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)
            .include_all(True)
            .all_value(".*")
        )
    )
    for title, panels in OVERVIEW.items():
        made = made.with_row(dashboard.Row(title))
        for panel in panels:
            single = "" in panel.series.values()
            made = made.with_panel(number(panel) if single else graph(panel))
    return json.dumps(made.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    (FOLDER / "mailweir-overview.json").write_text(overview())
