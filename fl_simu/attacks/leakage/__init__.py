"""A curious BS: reconstruction of images from a UE's upload."""
