"""Bars and funding rates: files, feeds, the venue, and what is kept on disk."""
