"""Break sound meshes in every way that generators break them, and judge what a repair makes of it."""
