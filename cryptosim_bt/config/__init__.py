"""config.yaml, checked and resolved."""
