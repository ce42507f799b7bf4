"""One short script per verb. The only place that sees the whole config."""
