"""What a user equipment has and does: data, its share of it, a model, local training."""
