"""The output of a run: records, checkpoints and figures. Each file is written completely or not at all."""
