"""What a user equipment does: local training, what it does to its update, how long it takes, whether it fails."""
