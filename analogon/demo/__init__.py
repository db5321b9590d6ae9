"""The tour, and the sounds that it synthesises."""
