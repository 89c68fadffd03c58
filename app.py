"""Be the Space: serve the queue page of FORGE_CONTENT, and run what is not made yet. No logic here; see forge_batch/ui."""

import spaces  # noqa: F401 - before anything that may load torch

from forge_batch import settings
from forge_batch.ui.page import serve
from forge_batch.ui.site import Site

found = settings.load()
runs = not found.page.read_only
page, address = serve(Site.open(found, runs), found, runs=runs)
page.block_thread()
