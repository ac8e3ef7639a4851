"""Attacks by participants: a curious BS, malicious UEs."""
