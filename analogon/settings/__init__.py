"""What a person has set or kept: the config file, the usual encoders, things that last beyond one collection."""
