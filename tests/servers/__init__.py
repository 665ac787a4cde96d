"""Real servers for tests: started by a fixture, on free ports, stopped by process id. See `plugin.py`."""
