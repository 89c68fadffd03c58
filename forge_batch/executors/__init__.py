"""Where tasks run: processes of this machine, a ZeroGPU Space, or a cluster."""
