"""Everything between a UE's trained model and the BS: codecs, channels, media, and the link that joins them."""
