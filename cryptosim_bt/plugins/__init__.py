"""How plugins are found, named and checked."""
