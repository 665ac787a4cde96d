"""Incidents and audit: what went wrong and what was done, who came in and who was refused."""

from __future__ import annotations

from kibana.panels import (
    CHART_HEIGHT,
    FEW_ARE_GOOD,
    METRIC_HEIGHT,
    NONE_IS_GOOD,
    SEVERITIES,
    TABLE_HEIGHT,
    Chart,
    Control,
    Dashboard,
    DataView,
    Measure,
    Metric,
    Search,
    Table,
    count,
    top,
)

INCIDENTS = DataView.INCIDENTS
AUDIT = DataView.AUDIT
REFUSED = "event.action: login and event.outcome: failure"

DASHBOARD = Dashboard(
    id="modelward-incidents",
    title="Modelward: incidents and audit",
    description=(
        "Incidents and what was done about them, and the audit trail: logins, refusals, lock-outs, withdrawals. The "
        "audit trail is for editors and administrators; to viewers its panels say that they may not be read."
    ),
    since="now-7d",
    controls=(
        Control("Model", INCIDENTS, "model"),
        Control("Severity", INCIDENTS, "severity"),
        Control("Action", AUDIT, "event.action"),
        Control("User", AUDIT, "user.name"),
        Control("Address", AUDIT, "source.ip"),
    ),
    rows=(
        (
            Metric("Incidents", "Records of incidents.", 8, METRIC_HEIGHT, INCIDENTS, count("Incidents")),
            Metric(
                "Open",
                "Incidents that nobody has closed.",
                8,
                METRIC_HEIGHT,
                INCIDENTS,
                count("Open"),
                "status: open",
                steps=NONE_IS_GOOD,
            ),
            Metric(
                "Logins",
                "People who came in.",
                8,
                METRIC_HEIGHT,
                AUDIT,
                count("Logins"),
                "event.action: login and event.outcome: success",
            ),
            Metric(
                "Refused",
                "Logins that were refused; many for one user, or from one address, are somebody guessing.",
                8,
                METRIC_HEIGHT,
                AUDIT,
                count("Refused logins"),
                REFUSED,
            ),
            Metric(
                "Locked out",
                "Users and addresses that were locked out after too many refusals.",
                8,
                METRIC_HEIGHT,
                AUDIT,
                count("Lock-outs"),
                "event.action: lockout",
                steps=FEW_ARE_GOOD,
            ),
            Metric(
                "People",
                "Different users in the audit trail.",
                8,
                METRIC_HEIGHT,
                AUDIT,
                Measure("Users", "unique_count", "user.name"),
                trend=False,
            ),
        ),
        (
            Chart(
                "Access by action",
                "Every login, refusal, lock-out, log-out and withdrawal.",
                48,
                CHART_HEIGHT,
                AUDIT,
                (count("Records"),),
                split=top("event.action", "Action"),
            ),
        ),
        (
            Chart(
                "Incidents by severity",
                "How many began, changed or ended, and how bad they are.",
                24,
                CHART_HEIGHT,
                INCIDENTS,
                (count("Incidents"),),
                split=top("severity", "Severity", colours=SEVERITIES),
            ),
            Chart(
                "Refusals by reason",
                "A wrong password is human; an unavailable directory is for the team.",
                24,
                CHART_HEIGHT,
                AUDIT,
                (count("Refused"),),
                split=top("event.reason", "Reason"),
                where="event.outcome: failure",
            ),
        ),
        (
            Table(
                "Incidents by model",
                "Which models have incidents, and how many are open.",
                24,
                TABLE_HEIGHT,
                INCIDENTS,
                (count("Incidents"), count("Open", "status: open"), Measure("Last", "max", "@timestamp")),
                (top("model", "Model", 20), top("severity", "Severity", 5)),
            ),
            Table(
                "Refused logins",
                "By user and by the address they came from.",
                24,
                TABLE_HEIGHT,
                AUDIT,
                (count("Refused"), Measure("Last", "max", "@timestamp")),
                (top("user.name", "User", 20), top("source.ip", "Address", 5)),
                where=REFUSED,
            ),
        ),
        (
            Search(
                "Incidents, newest first",
                "Each with its model, severity, status and message.",
                48,
                14,
                INCIDENTS,
                ("model", "severity", "status", "event.action", "user.name", "message"),
            ),
        ),
        (
            Search(
                "Audit trail, newest first",
                "Who did what, from where, and how it ended.",
                48,
                14,
                AUDIT,
                ("user.name", "user.roles", "event.action", "event.outcome", "event.reason", "source.ip", "message"),
            ),
        ),
    ),
)
