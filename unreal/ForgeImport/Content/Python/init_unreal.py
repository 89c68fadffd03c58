"""Start watching when the editor starts. Unreal runs this file by its name."""

import os
from pathlib import Path

from forge_import.importer import Importer
from forge_import.inbox import Inbox

import unreal

SECONDS = 2.0  # between two looks into the folder


def _inbox_folder() -> Path:
    """Give the folder to watch: FORGE_INBOX, or ForgeInbox beside the project file."""
    named = os.environ.get("FORGE_INBOX", "")
    return Path(named) if named else Path(str(unreal.Paths.project_dir())) / "ForgeInbox"


class _Watch:
    """Look into the folder every now and then, on the editor's own thread, and never let an error reach the editor."""

    def __init__(self, inbox: Inbox, importer: Importer) -> None:
        self.inbox = inbox
        self.importer = importer
        self.waited = 0.0

    def tick(self, seconds: float) -> None:
        self.waited += seconds
        if self.waited < SECONDS:
            return
        self.waited = 0.0
        for path in self.inbox.arrived():
            try:
                unreal.log(f"Forge Import: {path.name}: {self.importer.import_package(path)}")
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one package, the editor and the others go on
                unreal.log_error(f"Forge Import: {path.name} was not imported. {error}")


folder = _inbox_folder()
folder.mkdir(parents=True, exist_ok=True)
watch = _Watch(Inbox(folder), Importer(unreal))
handle = unreal.register_slate_post_tick_callback(watch.tick)
unreal.log(f"Forge Import: put packages of forge-batch into {folder}")
