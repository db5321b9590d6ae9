"""What things are called: labels without training (tag) and with (probe)."""
