"""`python3 -m modelward_appliance.host`: what the Makefile calls on the server."""

from __future__ import annotations

import sys

from modelward_appliance.host.cli import main

if __name__ == "__main__":
    sys.exit(main())
