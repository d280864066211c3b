"""Pinjam: consumer lending from sign-up to the last instalment."""
