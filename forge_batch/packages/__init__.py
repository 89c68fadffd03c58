"""One module per engine: what its package holds, how things are named in it, and in which frame and convention they stand."""
