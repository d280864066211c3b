"""The one-command local system: gateway, broker, identity server, embedded database, sandbox providers."""
