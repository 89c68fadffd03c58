"""Try cases, each in a process of its own that may be killed."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import NamedTuple

from forge_batch.errors import StageError
from forge_batch.ops.mesh import Mesh, load_mesh, save_mesh
from tests.broken.cases import Case
from tests.broken.damage import KINDS, broken
from tests.broken.finishers import FINISHERS, TRIANGLES, RefusedError, by_forge_batch
from tests.broken.judge import faults
from tests.broken.shapes import sound_shape
from tests.shapes import blob

TIMEOUT = 120.0  # seconds
MEMORY_MB = 4096.0


@dataclass(frozen=True)
class Outcome:
    """Be what became of a case.

    Attributes:
        verdict: ready, refused (with a reason), faulty (a mesh that no package may hold), crashed or timeout.
        note: Reason, or faults.
        seconds: Processor time of the finisher: the machine may have other work.
        memory_mb: Most memory of its process.
    """

    verdict: str
    note: str = ""
    seconds: float = 0.0
    memory_mb: float = 0.0


def sound_shapes(names: Collection[str], folder: Path) -> dict[str, Mesh]:
    """Make shapes, or read those that lie in the folder from before."""
    folder.mkdir(parents=True, exist_ok=True)
    shapes = {}
    for name in sorted(names):
        path = folder / f"{name}.npz"
        if not path.exists():
            save_mesh(path, sound_shape(name))
        shapes[name] = load_mesh(path)
    return shapes


def warm_up() -> None:
    """Import and compile everything here, so that children need not: it takes longer than most cases."""
    import manifold3d  # noqa: F401
    import pymeshfix  # noqa: F401

    small = blob(24)
    faults(by_forge_batch(small), small, spared=True, budget=None)


class Trial(NamedTuple):
    """Be a case, the sound shape of it, and who finishes it."""

    case: Case
    sound: Mesh
    by: str


class _Running(NamedTuple):
    trial: Trial
    child: ForkProcess
    until: float


def try_case(case: Case, sound: Mesh, by: str) -> Outcome:
    """Break, finish and judge in a child process."""
    return next(try_cases([Trial(case, sound, by)], 1))[1]


def try_cases(trials: Iterable[Trial], jobs: int) -> Iterator[tuple[Trial, Outcome]]:
    """Break, finish and judge each in a child process of its own, `jobs` at once; give them in the order they end."""
    left, running = iter(trials), dict[Connection, _Running]()
    try:
        while True:
            while len(running) < jobs and (trial := next(left, None)) is not None:
                receiver, started = _start(trial)
                running[receiver] = started
            if not running:
                return
            rest = min(one.until for one in running.values()) - time.monotonic()
            ended = {connection for connection in wait(list(running), max(rest, 0.0)) if isinstance(connection, Connection)}
            late = {connection for connection, one in running.items() if time.monotonic() > one.until} - ended
            for connection in ended | late:
                one = running.pop(connection)
                yield one.trial, _end(connection, one.child, connection in late)
    finally:
        for connection, one in running.items():
            _end(connection, one.child, True)


def _start(trial: Trial) -> tuple[Connection, _Running]:
    context = multiprocessing.get_context("fork")  # see warm_up
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_work, args=(*trial, sender), daemon=True)
    child.start()
    sender.close()
    return receiver, _Running(trial, child, time.monotonic() + TIMEOUT)


def _end(connection: Connection, child: ForkProcess, late: bool) -> Outcome:
    """Take what a child has to say, if anything, and let it go."""
    try:
        if late:
            return Outcome("timeout", f"over {TIMEOUT:g} s", TIMEOUT)
        answer = connection.recv()
    except EOFError:
        child.join()
        return Outcome("crashed", f"exit status {child.exitcode}")
    else:
        assert isinstance(answer, Outcome)
        return answer
    finally:
        child.kill()
        child.join()
        connection.close()


def _work(case: Case, sound: Mesh, by: str, sender: Connection) -> None:
    mesh = broken(sound, case.kind, case.severity, case.seed)
    start = time.process_time()
    try:
        made = FINISHERS[by](mesh)
    except (StageError, RefusedError) as error:
        outcome = Outcome("refused", str(error), time.process_time() - start, _memory())
    except Exception as error:  # noqa: BLE001 - a crash is an outcome here
        outcome = Outcome("crashed", repr(error)[:200], time.process_time() - start, _memory())
    else:
        seconds, memory = time.process_time() - start, _memory()
        budget = TRIANGLES if by == "forge_batch" else None
        found = faults(made, sound, KINDS[case.kind].spares, budget)
        if memory > MEMORY_MB:
            found.append("memory")
        outcome = Outcome("faulty" if found else "ready", ", ".join(found), seconds, memory)
    sender.send(outcome)


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
