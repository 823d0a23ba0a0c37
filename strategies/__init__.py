"""Strategy plugins that ship with CryptoSim."""
