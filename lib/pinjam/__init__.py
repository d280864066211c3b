"""Pinjam: consumer lending from sign-up to the last instalment."""

from pinjam import class_code

__version__ = "0.1.0"

class_code.use_package()  # Before the first class is made.
