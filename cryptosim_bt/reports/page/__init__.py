"""The page: one HTML file with the whole run."""
