"""Trading on paper and live: the same strategies on a real account."""
