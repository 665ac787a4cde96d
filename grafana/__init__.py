"""Grafana of the appliance: its configuration (`config/`), its dashboards as code, and a renderer to look at them."""
