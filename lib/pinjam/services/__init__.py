"""Use cases by verb of the trade, and the ports that they need."""
