"""Fuzzing of everything that reads what came from outside: `python -m bench.fuzz`, and the corpus that tests replay."""
