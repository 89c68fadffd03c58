"""Prepare a machine for the learned backends: doctor, vendor."""

from __future__ import annotations

import argparse
from pathlib import Path

from forge_batch.commands.contract import FAILED, FINE, USAGE, Add, complain, content_option, json_option, print_json, root_of


def add_machine_commands(add: Add) -> None:
    """Describe what prepares a machine for the learned backends."""
    doctor = add(
        "doctor", _doctor, "say what works on this machine, and what mends what does not",
        "  forge-batch doctor\n  forge-batch doctor --offline --json",
    )  # fmt: skip
    content_option(doctor)
    doctor.add_argument("--offline", action="store_true", help="do not ask the hub for the account and its access")
    json_option(doctor)

    vendor = add(
        "vendor", _vendor, "bring the learned backends at their pinned revisions, or look at what was brought",
        "  forge-batch vendor list\n  forge-batch vendor fetch trellis2\n"
        "  forge-batch vendor fetch trellis2 --from /mnt/mirror\n  forge-batch vendor fetch hunyuan3d --with turbo\n"
        "  forge-batch vendor verify",
    )  # fmt: skip
    vendor.add_argument("action", choices=["fetch", "verify", "list"], help="bring, compare every byte, or list")
    vendor.add_argument("names", metavar="NAME", nargs="*", help="only these (default: all; fetch needs at least one)")
    vendor.add_argument("--from", metavar="DIR", type=Path, dest="mirror", help="take OWNER/NAME/ below DIR instead of the hub")
    vendor.add_argument(
        "--with", metavar="PART", action="append", default=[], dest="parts", help="fetch these optional weights"
    )
    vendor.add_argument("--optional", action="store_true", help="fetch all optional weights")
    json_option(vendor)


def _doctor(options: argparse.Namespace) -> int:
    from forge_batch.doctor import diagnose, doctor_json, doctor_text

    checks = diagnose(root_of(options), online=not options.offline)
    document = doctor_json(checks)
    print_json(document) if options.json else print(doctor_text(checks))
    return FINE if document["ok"] else FAILED


def _vendor(options: argparse.Namespace) -> int:
    from forge_batch.vendor_text import vendor, vendor_text

    if options.action == "fetch" and not options.names:
        complain("name what to fetch, such as: forge-batch vendor fetch trellis2")
        return USAGE
    document = vendor(
        options.action, options.names, options.mirror, optional=options.optional, parts=options.parts, say=complain
    )
    print_json(document) if options.json else print(vendor_text(document))
    return FINE if document["ok"] else FAILED
