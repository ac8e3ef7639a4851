"""What the base station decides: whom it selects, whom it waits for, how it averages, how good the result is."""
