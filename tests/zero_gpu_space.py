"""Be a Space with the real `spaces` and Gradio: python zero_gpu_space.py SECRET; says its address when it listens.

Without torch: `spaces` patches it where it finds it, and breaks on a build for the CPU, which no Space has.
"""

from __future__ import annotations

import sys


def serve(secret: str) -> None:
    """Serve windows until the process is killed."""
    sys.modules["torch"] = None  # type: ignore[assignment]
    import gradio as gr

    from forge_batch.executors.zero_gpu import API_NAME, endpoint

    with gr.Blocks() as page:
        gr.api(endpoint(secret), api_name=API_NAME, api_visibility="undocumented")
    _, address, _ = page.launch(server_name="127.0.0.1", prevent_thread_lock=True, show_error=True, quiet=True)
    sys.stdout.write(f"listening at {address}\n")
    sys.stdout.flush()
    page.block_thread()


if __name__ == "__main__":
    serve(sys.argv[1])
