"""Everything between a UE's trained model and the BS: codecs, channels, and the link that joins them."""
