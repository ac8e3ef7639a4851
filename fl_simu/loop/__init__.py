"""The loop: what happens next, who is told, what is remembered, and how an experiment is put together for it."""
