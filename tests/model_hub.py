"""Stand in for the model hub and for GitHub's archives, over real HTTP, with faults that can be switched on."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LFS_FROM = 1000
"""Bytes from which a file is served as a large one, whose sha256 the hub knows."""


@dataclass
class ModelHub:
    """Hold repositories by name, each with one commit and its files.

    Attributes:
        repos: Commit and files (path -> bytes) by OWNER/NAME.
        gated: Repositories that refuse every account.
        account: Whom the token belongs to; None refuses it.
        spoilt: Paths whose bytes arrive changed.
        cut: Paths whose first answer ends in the middle; taken out when it did.
        asked: Method and path of every request.
    """

    repos: dict[str, tuple[str, dict[str, bytes]]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    account: str | None = "ann"
    spoilt: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
        """Give status, headers and body."""
        path, _, query = path.partition("?")
        parts = path.strip("/").split("/")
        if path == "/api/whoami-v2":
            return (
                self._json({"type": "user", "name": self.account, "orgs": [], "auth": {}}) if self.account else (401, {}, b"")
            )
        if parts[:2] == ["api", "models"]:
            return self._api("/".join(parts[2:4]), parts[4:], query)
        if "tar.gz" in parts:
            return self._archive("/".join(parts[:2]), parts[3])
        if parts[2:3] == ["resolve"]:
            return self._file("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        return 404, {}, b""

    def _api(self, repo: str, rest: list[str], query: str) -> tuple[int, dict[str, str], bytes]:
        fault = self._fault(repo, rest[1] if len(rest) > 1 else "")
        if fault:
            return fault
        commit, files = self.repos[repo]
        if rest[:1] == ["auth-check"]:
            return self._json({})
        if rest[:1] == ["tree"]:
            return self._json(
                [
                    {"type": "file", "path": path, "size": len(data), "oid": "0" * 40, **_lfs(data)}
                    for path, data in files.items()
                ]
            )
        siblings = [{"rfilename": path, "size": len(data), **_lfs(data)} for path, data in files.items()]
        if "blobs" not in query:
            siblings = [{"rfilename": path} for path in files]
        return self._json({"id": repo, "sha": commit, "private": False, "tags": [], "siblings": siblings})

    def _file(self, repo: str, revision: str, path: str) -> tuple[int, dict[str, str], bytes]:
        fault = self._fault(repo, revision)
        if fault:
            return fault
        commit, files = self.repos[repo]
        data = files[path]
        sha = hashlib.sha256(data).hexdigest()
        headers = {"X-Repo-Commit": commit, "ETag": f'"{sha}"', "X-Linked-Etag": f'"{sha}"', "X-Linked-Size": str(len(data))}
        if path in self.spoilt:
            data = bytes(reversed(data))
        return 200, headers, data

    def _archive(self, repo: str, revision: str) -> tuple[int, dict[str, str], bytes]:
        if repo not in self.repos or self.repos[repo][0] != revision:
            return 404, {}, b""
        return 200, {}, archive(repo, *self.repos[repo])

    def _fault(self, repo: str, revision: str) -> tuple[int, dict[str, str], bytes] | None:
        if repo not in self.repos:
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        if repo in self.gated:
            return 403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"}, b""
        if revision and revision != self.repos[repo][0]:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        return None

    @staticmethod
    def _json(document: object) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "application/json"}, json.dumps(document).encode()


def _lfs(data: bytes) -> dict[str, object]:
    if len(data) < LFS_FROM:
        return {}
    sha = hashlib.sha256(data).hexdigest()
    return {"lfs": {"sha256": sha, "oid": sha, "size": len(data), "pointerSize": 130}}


def archive(repo: str, commit: str, files: Mapping[str, bytes]) -> bytes:
    """Pack files as `git archive` does: one folder, and the commit in the archive's comment."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT, pax_headers={"comment": commit}) as tar:
        for path, data in files.items():
            member = tarfile.TarInfo(f"{repo.split('/')[1]}-{commit}/{path}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@contextmanager
def served(hub: ModelHub) -> Iterator[ModelHub]:
    """Answer on a port of this machine; `hub.url` is the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.asked.append(f"{self.command} {self.path}")
            status, headers, data = hub.answer(self.command, self.path)
            total = len(data)
            start = 0
            if status == 200 and (wanted := self.headers.get("Range")):
                start = int(wanted.removeprefix("bytes=").split("-")[0])
                status, headers = 206, {**headers, "Content-Range": f"bytes {start}-{total - 1}/{total}"}
            body = data[start:]
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "HEAD":
                return
            path = self.path.split("/resolve/")[-1].partition("/")[2]
            if path in hub.cut:
                hub.cut.discard(path)
                self.wfile.write(body[: len(body) // 2])
                self.wfile.flush()
                self.connection.close()
                return
            self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the server's own names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
