"""Data: image sets and users' own data, where they come from, and how they are distributed among the UEs."""
