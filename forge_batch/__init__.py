"""Turn images and manifests into game-ready packages."""
