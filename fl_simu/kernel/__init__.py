"""What all rooms share: time, messages, keyed randomness, params, errors, checks; and what this machine has."""
