"""Pure rules of lending. Standard library only; no clock, no randomness, no floats near money."""
