"""A run: prepared, carried out, gathered; and a finished run read again."""
