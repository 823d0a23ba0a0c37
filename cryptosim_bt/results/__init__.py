"""A run's result: its tables, figures and folder."""
