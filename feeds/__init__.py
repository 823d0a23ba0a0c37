"""Feeds: the plugins that bring bars into a run."""
