"""The REST API under `/api/v1`, and what watches the collector itself: `/healthz`, `/readyz`, `/metrics`."""
