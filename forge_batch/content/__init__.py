"""Where manifests and images come from and where packages go: a plain folder, or a dataset repo."""
