"""Parse, call, print. No decisions; imports nothing heavy before it knows the command."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence

from forge_batch.commands.author import add_author_commands
from forge_batch.commands.batch import add_batch_commands
from forge_batch.commands.contract import BUG, FAILED, FINE, INTERRUPTED, Command, complain
from forge_batch.commands.machine import add_machine_commands
from forge_batch.commands.packages import add_package_commands
from forge_batch.commands.page import add_page_commands
from forge_batch.errors import ForgeError

EXAMPLES = """examples:
  forge-batch init my_game            make a content folder
  forge-batch new oak_chair renders/  write a manifest for the pictures in renders/
  forge-batch validate                is everything that I am about to commit sound?
  forge-batch plan                    what would run, and how long would it take?
  forge-batch run                     make every package that is not made yet
  forge-batch run --asset teddy_bear  only this one
  forge-batch status                  how does every asset stand?
  forge-batch page                    the same in a browser, while it works
  forge-batch check exports/teddy_bear/export_TeddyBear_UE5.zip

exit codes: 0 fine, 1 a manifest or an asset failed, 2 wrong usage, 3 a bug, 130 interrupted"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give the exit code of design.md section 7."""
    options = parser().parse_args(arguments)
    command: Command = options.command
    try:
        return command(options)
    except ForgeError as error:
        complain(str(error))
        return FAILED
    except KeyboardInterrupt:
        complain("interrupted; what is finished is kept, run again to go on")
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return FINE
    except Exception:  # noqa: BLE001 - the last line of defence tells a bug from a user error
        traceback.print_exc()
        complain("this is a bug, please report it with the lines above")
        return BUG


def parser() -> argparse.ArgumentParser:
    """Describe every command."""
    top = argparse.ArgumentParser(
        prog="forge-batch",
        description="Turn images and YAML manifests into packages that Unreal Engine 5 imports right the first time.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, command: Command, text: str, example: str) -> argparse.ArgumentParser:
        one = commands.add_parser(
            name,
            help=text,
            description=text,
            epilog="examples:\n" + example,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        one.set_defaults(command=command)
        return one

    for group in (add_batch_commands, add_page_commands, add_author_commands, add_package_commands, add_machine_commands):
        group(add)
    return top


if __name__ == "__main__":
    sys.exit(main())
