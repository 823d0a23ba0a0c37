"""The sheets that compute the run's figures again with live formulas."""
