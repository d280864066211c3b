"""Emulators of Google's services, and stand-ins of others, as child processes of a local system or a test run."""
