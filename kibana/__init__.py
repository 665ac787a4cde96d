"""What Kibana shows of the store: data views, dashboards, and the proof that each panel finds something."""
