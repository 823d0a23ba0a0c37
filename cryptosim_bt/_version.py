"""The version, in its only place: setup.cfg and `cryptosim_bt` read it from here."""

__version__ = "0.1.0"
