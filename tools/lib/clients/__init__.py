"""Checks of tools/clients: functions that are given a running server and raise when a client is disappointed."""


def slow(check):
    """Marks a check that only --all runs."""
    check.is_slow = True
    return check
