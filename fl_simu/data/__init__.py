"""Data: sets of images and of one's own, where they come from, and how they are dealt to the UEs."""
