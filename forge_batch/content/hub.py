"""Keep content in a dataset repo: sync it, hold its lease, and commit what a run makes. The repo is the only truth."""

from __future__ import annotations

import contextlib
import hashlib
import math
import secrets
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from forge_batch.content import lease as leases
from forge_batch.content.hub_copy import RACES, WorkingCopy
from forge_batch.content.hub_errors import ConflictError, VanishedError
from forge_batch.content.hub_options import HubOptions
from forge_batch.content.hub_place import LEDGER, STATUS, place_state, sweep_old_roots
from forge_batch.content.lease import Lease, with_runner
from forge_batch.content.local import RECORD, replace_file
from forge_batch.content.outbox import Batch, Outbox
from forge_batch.errors import ContentError
from forge_batch.jobs import Job
from forge_batch.packages.names import REJECTED
from forge_batch.stages import STAGES

GPU_STAGES = frozenset(stage.name for stage in STAGES if stage.device == "gpu")
PRECIOUS = 120.0
"""Seconds within which what cost GPU seconds, and that it did, is committed: this disk may be gone at any time."""


class HubContent(WorkingCopy):
    """Be a dataset repo as a content folder, and its working copy on this machine.

    `root` holds what users own as of the last sync; state/, exports/ and work/ lie below `home`.

    Raises:
        ContentError: The repo cannot be reached or read, or is no content folder.
    """

    def __init__(
        self,
        repo: str,
        options: HubOptions,
        *,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(repo, options)
        self.runner = options.runner or _own_name(self.home)
        self.own_commits: deque[str] = deque(maxlen=1000)
        self.bell = threading.Event()  # rung by whoever receives the webhook
        self._now, self._sleep = now, sleep
        self._outbox = Outbox(self.home, self._uncommitted)
        self._nonce = ""
        self._lost: ContentError | None = None
        self._planned = self._settled = ""
        self._marked = False

    @property
    def unseen(self) -> bool:
        """Whether users have changed something, as of the last sync, that no run has dealt with."""
        return self._tree.user_digest != self._settled

    # -- the lease -----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runners out while this one is in; after a fault, finished work is committed before it leaves."""
        with self.only_process():
            self._locked, self._nonce, self._lost = True, "", None
            self._outbox.clear()
            stop = threading.Event()
            try:
                self.sync()
                sweep_old_roots(self.home, self._tree)
                self._refuse_if_held()
                threading.Thread(target=self._beat, args=(stop,), daemon=True).start()
                yield
                self._settled = self._planned
            except (Exception, KeyboardInterrupt):
                with contextlib.suppress(ContentError, ConflictError, VanishedError):
                    self._leave()
                raise
            finally:
                stop.set()
                self._locked = False

    def _refuse_if_held(self) -> None:
        now = self._now()
        if self._lease.keeps_out(self.runner, self._nonce, now):
            ago = f"last heard of {now - self._lease.heartbeat:.0f} s ago"
            silence = leases.BEATS * self._lease.beat
            hint = f"wait until it is done; if it is dead, its lease ends after {silence:.0f} s of silence"
            raise ContentError(f"another runner ({self._lease.runner}) is at work on {self.name}, {ago}", hint)

    def _check_mine(self) -> None:
        """Stop if another runner has taken over."""
        if self._nonce and self._lease.nonce != self._nonce:
            hint = "this runner was silent for too long; what it finished is kept on this disk"
            self._lost = ContentError(f"runner {self._lease.runner} has taken over {self.name}", hint)
            raise self._lost

    def _claim(self, assets: Sequence[str]) -> Lease:
        nonce = self._nonce or secrets.token_hex(8)
        return self._lease.claimed(self.runner, nonce, self._now(), self.options.heartbeat, assets, self._tree.sha)

    def _beat(self, stop: threading.Event) -> None:
        """Give signs of life while the runner is busy; it commits by itself when a heartbeat is due and it can."""
        late = self.options.heartbeat * 1.25
        while not stop.wait(min(late / 5, 30.0)):
            with self._turn, contextlib.suppress(ContentError, ConflictError, VanishedError):  # the next beat tries again
                if not stop.is_set() and self._nonce and self._now() - self._lease.heartbeat >= late:
                    self._put("heartbeat", Outbox(self.home), self._lease, self._lease)

    def begin(self, assets: Sequence[str], reads: Collection[str]) -> bool:
        self._planned = self.root.name
        if not assets:
            return True
        with self._turn:
            self._refuse_if_held()
            if self._moved():
                return False
            wish = self._claim(assets)
            try:
                self._put("begin", Outbox(self.home), wish, wish, spare=self._spare)
            except ConflictError:  # be it a user or another runner: what was planned may be done or unwanted
                self._pause(0)
                self.sync()
                self._refuse_if_held()
                return False
            self._nonce = wish.nonce
            for key in reads:
                self._outbox.use(key, self._now())
            return self._bring(reads)

    @property
    def _spare(self) -> int:
        """How many of an hour's commits a window leaves when it begins: for its end, and for an hour of heartbeats."""
        beats = math.ceil(leases.HOUR / max(self.options.heartbeat, 60.0))
        return min(1 + beats, self.options.commits_per_hour // 2)

    def _moved(self) -> bool:
        """Bring `root` up to date and say whether that was needed."""
        if self.root.name == self._tree.user_digest:
            return False
        self.sync()
        return True

    # -- results ----------------------------------------------------------------------------------------------

    def has_package(self, asset: str, word: str) -> bool:
        return super().has_package(asset, word) or self._outbox.has_package(asset, word)

    def save_job(self, job: Job) -> None:
        super().save_job(job)
        for key, record in job.records.items():
            if record.state == "done" and record.stage in GPU_STAGES and key not in self._tree.cached:
                folder = self.task_folder(key)
                names = [*(artifact.path for artifact in record.outputs), RECORD]
                if all((folder / name).is_file() for name in names):
                    self._outbox.add_task(key, {name: folder / name for name in names}, self._now())

    def write(self, path: str, data: bytes) -> None:
        super().write(path, data)
        if path in STATUS:
            same = self._lease.status.get(path) == hashlib.sha256(data).hexdigest()
        else:
            same = (entry := self._tree.files.get(path)) is not None and entry.holds(data)
        self._outbox.note(path, same)

    def publish(self, asset: str, files: Mapping[str, Path]) -> None:
        super().publish(asset, files)
        for name in files:
            path = f"exports/{asset}/{name}"
            self._outbox.note(path, path in self._tree.files and self._tree.files[path].is_file(self.home / path))
        rejected = f"exports/{asset}/{REJECTED}_"
        for path in {*self._tree.files, *self._outbox.files}:
            if path.startswith(rejected) and path.rsplit("/", 1)[1] not in files:
                self._outbox.drop(path, path in self._tree.files)

    @property
    def _ledger_grew(self) -> bool:
        place, entry = self.home / LEDGER, self._tree.files.get(LEDGER)
        return place.is_file() and (entry is None or entry.size != place.stat().st_size)

    def _note_ledger(self) -> None:
        """Take up what was appended to the ledger; the executor writes it line by line, not through `write`."""
        if (place := self.home / LEDGER).is_file():
            entry = self._tree.files.get(LEDGER)
            self._outbox.note(LEDGER, entry is not None and entry.is_file(place))

    def withdraw(self, asset: str) -> None:
        self._outbox.withdraw(asset)
        (self.home / "state" / "jobs" / f"{asset}.json").unlink(missing_ok=True)
        with contextlib.suppress(VanishedError):
            place_state(self.client, self._tree, self.home, self._outbox.files)

    # -- up ------------------------------------------------------------------------------------------------------------

    def mark(self) -> None:
        self._marked = bool(self._nonce)

    @property
    def due(self) -> bool:
        if self._lost:
            raise self._lost
        if self._marked and self._wait(self._spare) < 1:
            return True
        quiet = self._now() - self._lease.heartbeat
        precious = quiet >= PRECIOUS and (self._outbox.holds_tasks or self._ledger_grew)
        return bool(self._nonce) and (precious or quiet >= self.options.heartbeat)

    def commit(self, needed: Collection[str], *, last: bool) -> bool:
        with self._turn:
            if self._lost:
                raise self._lost
            self._note_ledger()
            if not self._nonce and not self._outbox.files:
                return True
            for race in range(RACES):
                self._refuse_if_held()
                if self._moved():
                    return False
                self._outbox.make_room(self._tree, needed, self.options.cache_bytes)
                working = self._lease if self._nonce else self._claim(())
                try:
                    self._put("finish" if last else "results", self._outbox, working, working.released() if last else working)
                except ConflictError:
                    self._pause(race)
                    continue
                self._nonce = "" if last else self._nonce
                self._marked = False
                return True
            raise self._too_fast()

    def _leave(self) -> None:
        """Commit what is finished and give the lease back, after a fault."""
        with self._turn:
            if self._nonce and not self._lost:
                self._note_ledger()
                if self.root.name != self._tree.user_digest:  # nobody is left to plan again
                    self._outbox.only_cache()
                self._put("stop", self._outbox, self._lease, self._lease.released())
                self._nonce = ""

    def _put(self, kind: str, outbox: Outbox, working: Lease, final: Lease, *, spare: int = 0) -> None:
        """Commit an outbox on top of the tree, with the lease `final` in the last commit and `working` in those before.

        Raises:
            ConflictError: Somebody else has committed. The tree and the lease are then read anew; `root` is as it was.
        """
        self._check_mine()
        outbox.operations.update(self.client.upload(outbox.not_uploaded()))
        for batch in outbox.batches():
            self._sleep(self._wait(spare))
            lease, stamped = self._stamped(batch, final if batch.last else working)
            adds = [outbox.operations[path] for path in batch.paths if path not in stamped]
            gone = [path for path in batch.gone if path.endswith("/") or path in self._tree.files]
            try:
                sha = self.client.commit(self._tree.sha, f"[forge] {kind}", uuid.uuid4().hex, adds, stamped, gone)
            except ConflictError:
                self._look_again()
                self._check_mine()
                raise
            self.own_commits.append(sha)
            self._tree = self._tree.after(sha, outbox.entries(batch, stamped), batch.gone)
            self._lease = lease
            replace_file(self.home / leases.PATH, stamped[leases.PATH])
            outbox.done(batch)
            self._save_tree()

    def _wait(self, spare: int = 0) -> float:
        """Give the seconds until the next commit may come."""
        return self._lease.wait(self._now(), self.options.commit_floor, self.options.commits_per_hour, spare)

    def _stamped(self, batch: Batch, wish: Lease) -> tuple[Lease, dict[str, bytes]]:
        """Give the lease as it will stand in the repo, and the files that speak of it: never equal to any before."""
        texts = {path: (self.home / path).read_bytes() for path in STATUS if (self.home / path).is_file()}
        digests = {path: hashlib.sha256(data).hexdigest() for path, data in texts.items()}
        known = self._lease.status
        said = {path: digest for path, digest in digests.items() if path in batch.paths or known.get(path) == digest}
        lease = replace(wish, commits=self._lease.commits, status={**known, **said}).beaten(self._now())
        return lease, {leases.PATH: lease.to_json(), **{path: with_runner(path, texts[path], lease) for path in said}}

    def _pause(self, race: int) -> None:
        """Wait before the next try, a random time so that two runners do not meet again."""
        self._sleep(secrets.randbelow(1000) / 1000 * min(2.0**race * self.options.patience.first, 30.0))

    def changes(self, nudge: threading.Event | None = None) -> Iterator[None]:
        from forge_batch.content.hub_watch import changes

        return changes(self, self.bell, nudge)


def _own_name(home: Path) -> str:
    """Give this disk's name as a runner, made up at its first run."""
    path = home / "runner"
    if path.is_file() and (name := path.read_text().strip()):
        return name
    name = f"runner-{secrets.token_hex(4)}"
    replace_file(path, name.encode())
    return name
