"""Pinjam: consumer lending from sign-up to the last instalment."""

__version__ = "0.1.0"
