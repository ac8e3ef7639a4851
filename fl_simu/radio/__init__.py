"""Everything between a UE's trained model and the BS: codecs, channels, bands, and the link that joins them."""
