"""The agent as a child of `modelward up`: it ends when its parent is gone, however that ended.

python -m modelward_collector.embedded_agent <the parent's pid> run --config agent.yml
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

LOOK_EVERY_SECONDS = 0.5
ENDS_WITHIN_SECONDS = 10.0


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(ENDS_WITHIN_SECONDS)
    os._exit(1)


def main() -> int:
    """Run the agent's command line; its exit code."""
    parent = int(sys.argv[1])
    threading.Thread(target=_follow, args=(parent,), name="parent", daemon=True).start()
    from modelward_agent.cli import main as agent

    code: int = agent(sys.argv[2:])
    return code


if __name__ == "__main__":
    sys.exit(main())
