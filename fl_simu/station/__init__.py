"""What the base station decides: whom it selects and waits for, how it averages; how good the result is."""
