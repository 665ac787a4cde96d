"""Pictures of the dashboards from their own queries, for whoever reviews them without a Grafana at hand.

`python -m grafana.render` draws every panel where the dashboard puts it, from what a real Prometheus answers. It is not
Grafana: fonts and details differ. What is wrong with a query, a unit, a colour or the layout shows as it does there.
"""
