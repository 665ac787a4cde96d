"""The real bundle on a real Docker engine, from stand-in images: `make test-deploy`."""
