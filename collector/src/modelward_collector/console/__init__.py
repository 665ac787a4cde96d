"""The console: server-rendered pages that need no internet, and no script to be read."""

from modelward_collector.console.routes import console_router, not_found

__all__ = ["console_router", "not_found"]
