"""The simulated exchange: orders, matching, liquidation, ambiguity. Pure."""
