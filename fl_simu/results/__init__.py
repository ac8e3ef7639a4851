"""What a run leaves behind: records, checkpoints, figures, all written whole or not at all."""
