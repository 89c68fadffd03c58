"""One module per learned or geometric model. No backend imports another."""
