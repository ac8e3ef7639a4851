"""Decisions of the base station: client selection, protocols, aggregation; and evaluation of the models."""
