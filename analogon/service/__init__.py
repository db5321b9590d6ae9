"""What every door calls: requests and results, the registry of loaded models, listeners, what a run may touch."""
