"""Log entries that match a filter become a counter: which match, and how many did, each once."""
