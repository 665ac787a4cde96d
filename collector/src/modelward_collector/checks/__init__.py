"""Checks: profiles in, a `CheckResult` out. Pure; one file a check."""
