"""What is held and what it is worth: contract maths, instruments, tiers, both books. Pure."""
