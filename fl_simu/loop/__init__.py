"""The loop: processes the events of a run, notifies observers, keeps the state, and assembles an experiment."""
