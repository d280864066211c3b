"""Sandbox providers: real local HTTP and SMTP servers that speak the providers' protocols strictly.

The adapters of production talk to them unchanged. What they hold survives a crash of the process.
"""
