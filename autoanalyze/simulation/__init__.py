"""The simulated model: a labeller that knows the truth and errs as models err."""
