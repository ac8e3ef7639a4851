"""A curious BS: images out of what a UE sends."""
