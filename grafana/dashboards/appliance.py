"""For who runs Modelward itself: its services, checks, stores, backups, certificates, logins and disk."""

from __future__ import annotations

from grafana.dashboards.look import (
    BAD,
    BAD_FILL,
    BLUE,
    FAILED,
    FILLED_NONE_IS_GOOD,
    LIGHT,
    NONE_IS_BEST,
    OK_FILL,
    PLAIN,
    SILENT,
    TEAL,
    VIOLET,
    WARNING,
    WARNING_FILL,
    Column,
    Line,
    Page,
    Query,
    Section,
    Steps,
    Style,
    at_least,
    at_most,
    bars,
    line,
    lines,
    listing,
    number,
    states,
    to_console,
    to_dashboard,
    to_kibana,
)
from grafana.dashboards.measures import age, leading
from grafana.dashboards.page import ALERTS
from grafana.dashboards.variables import datasource

_SERVICES = 'job=~"collector|appliance-agent|prometheus|alertmanager|node-exporter|blackbox-exporter|backup"'
_PROBED = 'job=~"published|internal"'
_DAY = 86_400
_NOW = "$__rate_interval"

_UP = (
    f'sum by (service) (label_replace(min by (job) (up{{{_SERVICES}}}), "service", "$1", "job", "(.+)"))'
    f" or min by (service) (probe_success{{{_PROBED}}})"
)
_STORE = (
    'max(modelward_elasticsearch_health{status="red"}) * 2 + max(modelward_elasticsearch_health{status="yellow"})'
    " or 2 * (1 - min(modelward_store_up))"
)
"""0 green, 1 yellow, 2 red; of the embedded store 0 when it answers."""
_EXPIRY = 'min by (service, instance) (probe_ssl_earliest_cert_expiry{job=~"published|certificates"}) - time()'


def page() -> Page:
    """The dashboard."""
    return Page(
        uid="modelward-appliance",
        title="Appliance",
        description="Modelward's own health: services, checks, stores, backups, certificates, logins and disk.",
        variables=(datasource(),),
        annotations=(ALERTS,),
        links=(
            to_console("/prometheus/", "Prometheus"),
            to_console("/alertmanager/", "Alertmanager"),
            to_kibana("modelward-incidents", "Kibana: incidents and audit"),
            to_dashboard("modelward-operations", "Operations"),
        ),
        sections=(
            Section("", (_answer(), _services())),
            Section("Checks", (_checks(), _lateness())),
            Section("Prometheus and Alertmanager", (_stores(), _notifying())),
            Section("Backups, certificates and logins", (_backups(),)),
            Section("The machine", (_machine(),)),
        ),
    )


def _answer() -> Line:
    return line(
        4,
        (
            4,
            number(
                "Services down",
                "Services that do not answer Prometheus or the probe from outside. Good is 0; the timeline below "
                "says which.",
                Query(f"count(({_UP}) == 0) or vector(0)"),
                steps=FILLED_NONE_IS_GOOD,
                filled=True,
            ),
        ),
        (
            4,
            number(
                "Store",
                "Elasticsearch's own word: yellow lacks copies, red lacks data. With the embedded store, whether "
                "it answers.",
                Query(_STORE),
                mappings=((0, "Green", OK_FILL), (1, "Yellow", WARNING_FILL), (2, "Red", BAD_FILL)),
                filled=True,
            ),
        ),
        (
            4,
            number(
                "Fullest disk",
                "Space left on the disk that has least. Elasticsearch stops taking documents below 5%.",
                Query("min(device:node_filesystem_free:ratio)"),
                unit="percentunit",
                decimals=0,
                steps=at_least(0.2, 0.1),
            ),
        ),
        (
            4,
            number(
                "Last good backup",
                "How long ago. One is made every day.",
                Query(age("max(modelward_backup_last_success_timestamp_seconds > 0)")),
                unit="s",
                decimals=0,
                steps=at_most(26 * 3600, 50 * 3600),
                no_value="Never",
            ),
        ),
        (
            4,
            number(
                "First certificate ends",
                "In how much time. One command renews those of the authority: make rotate-certs.",
                Query(f"min({_EXPIRY})"),
                unit="s",
                decimals=0,
                steps=at_least(30 * _DAY, 7 * _DAY),
                no_value="Not probed",
            ),
        ),
        (
            4,
            number(
                "Checks overdue",
                "Checks without a success for more than two of their intervals. Good is 0.",
                Query("sum(modelward_checks_overdue)"),
                decimals=0,
                steps=NONE_IS_BEST,
                no_value="No collector",
            ),
        ),
    )


def _services() -> Line:
    return line(
        10,
        (
            14,
            states(
                "Services",
                "Whether each answered: those that Prometheus scrapes, by probe what people and agents open, and the "
                "store, which is degraded while it lacks copies.",
                Query(_UP, "{{service}}"),
                Query(f"1 - ({_STORE}) + 2 * (({_STORE}) == bool 1)", "store"),
                mappings=(
                    (-1, "Down", BAD_FILL),
                    (0, "Down", BAD_FILL),
                    (1, "Up", OK_FILL),
                    (2, "Degraded", WARNING_FILL),
                ),
            ),
        ),
        (
            10,
            lines(
                "Answers to the probe",
                "How long each service took to answer over TLS, as people's browsers ask.",
                Query(f"max by (service) (probe_duration_seconds{{{_PROBED}}})", "{{service}}"),
                unit="s",
                no_value="Nothing is probed",
            ),
        ),
    )


def _checks() -> Line:
    def runs(status: str) -> str:
        return f'sum(increase(modelward_check_runs_total{{status="{status}"}}[$__interval]))'

    slow = "sum by (check, le) (rate(modelward_check_duration_seconds_bucket[30m]))"
    return line(
        8,
        (
            12,
            lines(
                "Runs by outcome",
                "Checks that ran. Warning and critical are news about models; failed are checks that could not "
                "be carried out.",
                Query(runs("ok"), "OK"),
                Query(runs("no_data"), "No data"),
                Query(runs("learning"), "Still learning"),
                Query(runs("warning"), "Warning"),
                Query(runs("critical"), "Critical"),
                Query(runs("error"), "Failed"),
                bars=True,
                stacked=True,
                every="5m",
                styles=[
                    Style("OK", OK_FILL),
                    Style("No data", SILENT),
                    Style("Still learning", TEAL),
                    Style("Warning", WARNING),
                    Style("Critical", BAD),
                    Style("Failed", FAILED),
                ],
            ),
        ),
        (
            12,
            lines(
                "How long checks take",
                "The slowest tenth of the runs over half an hour takes at least this long, by kind of check.",
                Query(f"histogram_quantile(0.9, {slow}) > 0", "{{check}}"),
                unit="s",
                styles=[
                    Style("drift", BLUE),
                    Style("quality", TEAL),
                    Style("performance", VIOLET),
                    Style("health", LIGHT),
                ],
                gaps=False,
                no_value="No check has run",
            ),
        ),
    )


def _lateness() -> Line:
    last = "max by (model, check) (modelward_check_last_success_timestamp_seconds)"
    return line(
        8,
        (
            12,
            bars(
                "Longest without a success",
                "The eight checks whose last success is longest ago. Some run once an hour, some once a minute.",
                Query(f"topk(8, {age(last)})", "{{model}} · {{check}}"),
                unit="s",
                decimals=0,
                no_value="No check has run",
            ),
        ),
        (
            12,
            lines(
                "Overdue and failing",
                "Checks without a success for too long, checks whose last run failed, and how many collectors "
                "schedule: always one.",
                Query("sum(modelward_checks_overdue)", "Overdue"),
                Query("sum(modelward_checks_failing)", "Failing"),
                Query("sum(modelward_scheduler_leading)", "Collectors that schedule"),
                decimals=0,
                styles=[Style("Overdue", WARNING), Style("Failing", FAILED), Style("Collectors that schedule", BLUE)],
            ),
        ),
    )


def _stores() -> Line:
    slowest = leading('max by (rule_group) (prometheus_rule_group_last_duration_seconds{job="prometheus"})', 8)
    return line(
        8,
        (
            12,
            lines(
                "Prometheus takes in",
                "Samples a second, and series in memory at the right. A jump in series is a label with too many "
                "values.",
                Query(f"sum(rate(prometheus_tsdb_head_samples_appended_total[{_NOW}]))", "Samples a second"),
                Query("sum(prometheus_tsdb_head_series)", "Series"),
                styles=[Style("Samples a second", BLUE), Style("Series", VIOLET, right=True)],
            ),
        ),
        (
            12,
            lines(
                "Prometheus evaluates",
                "How long each group of rules took. Beyond 10 seconds alerts come late (the dashed line).",
                Query(f'label_replace({slowest}, "group", "$1", "rule_group", ".*;(.+)")', "{{group}}"),
                unit="s",
                ranked=True,
                steps=Steps("transparent", ((10, BAD),)),
            ),
        ),
    )


def _notifying() -> Line:
    of = '{job="alertmanager"}'
    sent = f"sum by (integration) (rate(alertmanager_notifications_total{of}[{_NOW}]) * 60)"
    failed = f"sum by (integration) (rate(alertmanager_notifications_failed_total{of}[{_NOW}]) * 60)"
    return line(
        8,
        (
            8,
            lines(
                "Notifications sent",
                "A minute, by the four ways that are used most.",
                Query(leading(sent, 4), "{{integration}}"),
                unit="cpm",
            ),
        ),
        (
            8,
            lines(
                "Notifications that failed",
                "A minute. Any is a receiver that does not answer: nobody is told.",
                Query(leading(failed, 4), "{{integration}}"),
                unit="cpm",
                colour=BAD,
            ),
        ),
        (
            8,
            lines(
                "Alerts in Alertmanager",
                "Active ones, and those that are silenced or inhibited.",
                Query('sum(alertmanager_alerts{state="active"})', "Active"),
                Query('sum(alertmanager_alerts{state="suppressed"})', "Silenced or inhibited"),
                decimals=0,
                styles=[Style("Active", BLUE), Style("Silenced or inhibited", SILENT)],
            ),
        ),
    )


def _backups() -> Line:
    def logins(which: str) -> str:
        return f"sum(increase(modelward_logins_total{{{which}}}[$__interval]))"

    return line(
        9,
        (
            8,
            lines(
                "Backups",
                "The size of the newest good backup, and at the right how long the last run took.",
                Query("max(modelward_backup_size_bytes)", "Size"),
                Query("max(modelward_backup_duration_seconds)", "Duration"),
                unit="bytes",
                styles=[Style("Size", BLUE), Style("Duration", VIOLET, right=True, unit="s")],
                no_value="No backup yet",
            ),
        ),
        (
            8,
            listing(
                "Certificates",
                "How long each has still to go, the first to end at the top.",
                Column("Service", label="service"),
                Column("At", label="instance"),
                Column(
                    "Ends in",
                    _EXPIRY,
                    unit="s",
                    decimals=0,
                    steps=Steps(BAD, ((7 * _DAY, WARNING), (30 * _DAY, PLAIN))),
                    width=110,
                ),
                sort="Ends in",
                descending=False,
                no_value="Nothing is probed",
            ),
        ),
        (
            8,
            lines(
                "Logins",
                "At the gateway and the console. Many refusals are somebody who guesses; lock-out follows.",
                Query(logins('outcome="success"'), "Let in"),
                Query(logins('outcome!~"success|locked_out|unavailable"'), "Refused"),
                Query(logins('outcome="locked_out"'), "Locked out"),
                Query(logins('outcome="unavailable"'), "Directory silent"),
                bars=True,
                stacked=True,
                every="10m",
                decimals=0,
                styles=[
                    Style("Let in", TEAL),
                    Style("Refused", WARNING),
                    Style("Locked out", BAD),
                    Style("Directory silent", FAILED),
                ],
                no_value="Nobody has logged in",
            ),
        ),
    )


def _machine() -> Line:
    return line(
        8,
        (
            8,
            bars(
                "Disk in use",
                "By device. Above 80% make room or shorten the retention.",
                Query("topk(8, 1 - device:node_filesystem_free:ratio)", "{{device}}"),
                unit="percentunit",
                decimals=0,
                maximum=1,
                steps=at_most(0.8, 0.9),
            ),
        ),
        (
            8,
            lines(
                "Processor and memory",
                "In use, of the whole machine.",
                Query(f'1 - avg(rate(node_cpu_seconds_total{{mode="idle"}}[{_NOW}]))', "Processor"),
                Query("1 - sum(node_memory_MemAvailable_bytes) / sum(node_memory_MemTotal_bytes)", "Memory"),
                unit="percentunit",
                maximum=1,
                styles=[Style("Processor", BLUE), Style("Memory", VIOLET)],
            ),
        ),
        (
            8,
            lines(
                "Memory by service",
                "What each service that shows it has in memory.",
                Query(f"sum by (job) (process_resident_memory_bytes{{{_SERVICES}}})", "{{job}}"),
                unit="bytes",
            ),
        ),
    )
