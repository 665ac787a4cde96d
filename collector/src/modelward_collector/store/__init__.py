"""What the collector keeps: the `Store` protocol, its two implementations, and the windows read through it."""
