"""Analyzer plugins that ship with CryptoSim."""
