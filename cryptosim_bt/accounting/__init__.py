"""What is held and what it is worth: arithmetic, the exchange's account, the strategy's book."""
