"""What protects the UEs."""
