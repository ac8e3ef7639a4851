"""What all rooms share: virtual time, messages, keyed randomness, params, errors."""
