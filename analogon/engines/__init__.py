"""What a generator is, and the one place where what it makes is checked."""
