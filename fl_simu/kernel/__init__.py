"""Shared by all packages: time, messages, keyed randomness, params, errors, checks, facts about the machine."""
