"""Be a Hub on loopback that the real huggingface_hub client talks to, with faults that can be switched on.

Speaks what the client of a dataset repo asks for: whoami, create, info, tree, paths-info, commits, preupload, LFS, commit,
resolve (with ranges), squash. `requests` remembers every request; faults are matched against it in the order they were added.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hub_store import Blob, Commit, Repo, StaleParentError, listing

PAGE = 1000
OWNER_TOKEN, READER_TOKEN = "hf_ownerTokenOfTheTests0123", "hf_readerTokenOfTheTests0123"


@dataclass
class Fault:
    """Spoil requests.

    Attributes:
        kind: `status` answers `code`; `drop` closes the connection without a word; `lose` does what is asked, then drops (or
            answers `code`, if given); `truncate` sends half of the body; `drip` sends a byte now and then; `before` and
            `after` call `act` before or after the request is worked on.
        method, path: Which requests; `path` is a regular expression that is searched for.
        times: How many of them.
        skip: How many of them are let through first.
    """

    kind: Literal["status", "drop", "lose", "truncate", "drip", "before", "after"]
    method: str = ""
    path: str = ""
    times: int = 1
    skip: int = 0
    code: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    act: Callable[[], object] = lambda: None

    def meets(self, method: str, path: str) -> bool:
        """Tell whether this request is one to spoil, and count it."""
        if self.times <= 0 or (self.method and method != self.method) or not re.search(self.path, path):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


@dataclass(frozen=True)
class Reply:
    """Be an answer before it is sent."""

    code: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def as_json(document: object, code: int = 200, **headers: str) -> Reply:
    """Answer with JSON."""
    return Reply(code, json.dumps(document).encode(), {"Content-Type": "application/json", **headers})


def error(code: int, kind: str = "", text: str = "") -> Reply:
    """Answer with an error as the Hub words it."""
    headers = {key: value for key, value in (("X-Error-Code", kind), ("X-Error-Message", text)) if value}
    return as_json({"error": text or kind}, code, **headers)


class HubServer:
    """Hold repos and serve them. `tokens` gives each token's role: `write`, `read`."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.tokens = {OWNER_TOKEN: "write", READER_TOKEN: "read"}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.endpoint = ""
        self._server: ThreadingHTTPServer | None = None
        self._lock = threading.Lock()

    def start(self, port: int = 0) -> None:
        """Listen on loopback."""
        hub = self

        class Handler(_Handler):
            server_hub = hub

        self._server = _Server(("127.0.0.1", port), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Stop listening and cut every connection; what was committed stays."""
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def restart(self, down: float = 0.0) -> None:
        """Go away for some seconds and come back on the same port."""
        port = int(self.endpoint.rsplit(":", 1)[1])
        self.stop()
        time.sleep(down)
        self.start(port)

    def repo(self, name: str, files: Mapping[str, bytes | str | None] | None = None, private: bool = True) -> Repo:
        """Make a repo with some files."""
        self.repos[name] = Repo(name, private)
        self.repos[name].put(files or {}, "start")
        return self.repos[name]

    def fault(self, *args: Any, **kwargs: Any) -> Fault:
        """Switch a fault on."""
        self.faults.append(Fault(*args, **kwargs))
        return self.faults[-1]

    @contextlib.contextmanager
    def counting(self) -> Iterator[list[tuple[str, str]]]:
        """Collect the requests made while the context lasts."""
        start = len(self.requests)
        seen: list[tuple[str, str]] = []
        yield seen
        seen += self.requests[start:]

    def take(self, method: str, path: str) -> list[Fault]:
        """Note a request and give the faults that it meets."""
        with self._lock:
            self.requests.append((method, path))
            return [fault for fault in self.faults if fault.meets(method, path)]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, *args: Any) -> None:
        self.sockets: set[socket.socket] = set()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.sockets.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.sockets.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for one in list(self.sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that are killed or cut are what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_hub: HubServer

    def log_message(self, *words: Any) -> None:
        return

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) if not self._chunked() else self._read_chunks()
        faults = self.server_hub.take(self.command, self.path)
        kinds = {fault.kind: fault for fault in faults}
        if "before" in kinds:
            kinds["before"].act()
        if "drop" in kinds:
            self._cut()
            return
        if "status" in kinds:
            self._send(Reply(kinds["status"].code, b"", kinds["status"].headers))
            return
        reply = self._answer(body)
        if "after" in kinds:
            kinds["after"].act()
        if "lose" in kinds:
            if not kinds["lose"].code:
                self._cut()
                return
            reply = Reply(kinds["lose"].code)
        self._send(reply, truncate="truncate" in kinds, drip="drip" in kinds)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815 - the names of the standard library

    def _chunked(self) -> bool:
        return self.headers.get("Transfer-Encoding", "").lower() == "chunked"

    def _read_chunks(self) -> bytes:
        data = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def _cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, reply: Reply, truncate: bool = False, drip: bool = False) -> None:
        self.send_response(reply.code)
        length = reply.headers.get("Content-Length", str(len(reply.body)))
        for name, value in {"Content-Type": "text/plain", **reply.headers, "Content-Length": length}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if drip:
            for byte in reply.body:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(0.2)
        elif truncate:
            self.wfile.write(reply.body[: len(reply.body) // 2])
            self.wfile.flush()
            self._cut()
        else:
            self.wfile.write(reply.body)

    # -- the protocol --------------------------------------------------------------------------------------------------

    @property
    def _role(self) -> str:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        return self.server_hub.tokens.get(token, "bad" if token else "")

    def _answer(self, body: bytes) -> Reply:  # noqa: PLR0911 - a table of routes
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        if url.path == "/api/whoami-v2":
            return (
                as_json({"type": "user", "name": "me", "orgs": [], "auth": {}})
                if self._role in {"read", "write"}
                else error(401)
            )
        if url.path == "/api/validate-yaml":
            return as_json({"errors": [], "warnings": []})
        if url.path == "/api/repos/create":
            return self._create(json.loads(body))
        if found := re.fullmatch(r"/lfs/([^/]+/[^/]+)/([0-9a-f]{64})", url.path):
            return self._lfs_put(found[1], found[2], body)
        for pattern, work in (
            (r"/api/datasets/([^/]+/[^/]+)/tree/([^/]+)(?:/(.*))?", self._tree),
            (r"/api/datasets/([^/]+/[^/]+)/commits/([^/]+)", self._commits),
            (r"/api/datasets/([^/]+/[^/]+)/preupload/([^/]+)", self._preupload),
            (r"/api/datasets/([^/]+/[^/]+)/commit/([^/]+)", self._commit),
            (r"/api/datasets/([^/]+/[^/]+)/super-squash/([^/]+)", self._squash),
            (r"/api/datasets/([^/]+/[^/]+)/revision/([^/]+)", self._info),
            (r"/api/datasets/([^/]+/[^/]+)", self._info),
            (r"/datasets/([^/]+/[^/]+)\.git/info/lfs/objects/batch", self._lfs_batch),
            (r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.*)", self._resolve),
        ):
            if match := re.fullmatch(pattern, url.path):
                repo = self.server_hub.repos.get(match[1])
                role = self._role
                if role == "bad":
                    return error(401, "", "Invalid credentials in Authorization header")
                if repo is None or (repo.private and not role):
                    return error(404 if role else 401, "RepoNotFound", "Repository not found")
                return work(repo, [unquote(part or "") for part in match.groups()[1:]], query, body)
        return error(404)

    def _create(self, wish: Mapping[str, Any]) -> Reply:
        if self._role != "write":
            return error(403 if self._role else 401, "", "You don't have the rights to create a dataset")
        name = f"{wish.get('organization') or 'me'}/{wish['name']}"
        if name in self.server_hub.repos:
            return error(409, "", "You already created this dataset repo")
        private = wish.get("private", wish.get("visibility") == "private")
        self.server_hub.repo(name, {".gitattributes": "*.zip filter=lfs\n"}, private=bool(private))
        return as_json({"url": f"{self.server_hub.endpoint}/datasets/{name}", "name": name, "id": name})

    def _info(self, repo: Repo, path: list[str], query: dict[str, list[str]], body: bytes) -> Reply:
        commit = repo.at(path[0] if path else "main")
        if commit is None:
            return error(404, "RevisionNotFound", "Invalid rev id")
        return as_json({"_id": "0", "id": repo.name, "sha": commit.oid, "private": repo.private})

    def _tree(self, repo: Repo, path: list[str], query: dict[str, list[str]], body: bytes) -> Reply:
        commit = repo.at(path[0])
        if commit is None:
            return error(404, "RevisionNotFound", "Invalid rev id")
        items = listing(commit.files, path[1], query.get("recursive", ["false"])[0].lower() == "true")
        if items is None:
            return error(404, "EntryNotFound", f"{path[1]} does not exist")
        start = int(query.get("cursor", ["0"])[0])
        headers = {}
        if start + PAGE < len(items):
            base = re.sub(r"[?&]cursor=\d+", "", self.path)
            link = f"{self.server_hub.endpoint}{base}{'&' if '?' in base else '?'}cursor={start + PAGE}"
            headers["Link"] = f'<{link}>; rel="next"'
        return as_json(items[start : start + PAGE], 200, **headers)

    def _commits(self, repo: Repo, path: list[str], query: dict[str, list[str]], body: bytes) -> Reply:
        found = [
            {"id": one.oid, "title": one.title, "message": "", "date": one.date, "authors": [{"user": one.author}]}
            for one in reversed(repo.commits)
        ]
        return as_json(found[:50])

    def _preupload(self, repo: Repo, path: list[str], query: dict[str, list[str]], body: bytes) -> Reply:
        if self._role != "write":
            return error(403, "", "Forbidden: you must use a write token to upload to a repository.")
        answers = []
        for one in json.loads(body)["files"]:
            lfs = one["path"].endswith((".png", ".jpg", ".webp", ".zip", ".npz")) or one["size"] > 10_000_000
            answer = {"path": one["path"], "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False}
            if blob := repo.head.files.get(one["path"]):
                answer["oid"] = blob.etag
            answers.append(answer)
        return as_json({"files": answers})

    def _lfs_batch(self, repo: Repo, path: list[str], query: dict[str, list[str]], body: bytes) -> Reply:
        answers = []
        for one in json.loads(body)["objects"]:
            answer = dict(one)
            if one["oid"] not in repo.lfs:
                answer["actions"] = {
                    "upload": {"href": f"{self.server_hub.endpoint}/lfs/{repo.name}/{one['oid']}", "header": {}}
                }
            answers.append(answer)
        return as_json({"transfer": "basic", "objects": answers})

    def _lfs_put(self, name: str, oid: str, body: bytes) -> Reply:
        if self.headers.get("Authorization") or hashlib.sha256(body).hexdigest() != oid:
            return error(400)
        self.server_hub.repos[name].lfs[oid] = body
        return Reply(200)

    def _commit(self, repo: Repo, path: list[str], query: dict[str, list[str]], body: bytes) -> Reply:
        if self._role != "write":
            return error(403, "", "Forbidden: you must use a write token to upload to a repository.")
        files: dict[str, Blob] = {}
        gone: list[str] = []
        header: dict[str, Any] = {}
        for line in body.splitlines():
            part = json.loads(line)
            value = part["value"]
            if part["key"] == "header":
                header = value
            elif part["key"] == "file":
                files[value["path"]] = Blob(base64.b64decode(value["content"]), lfs=False)
            elif part["key"] == "lfsFile":
                if value["oid"] not in repo.lfs:
                    return error(400, "", f"the LFS object {value['oid']} was never uploaded")
                files[value["path"]] = Blob(repo.lfs[value["oid"]], lfs=True)
            else:
                gone.append(value["path"].rstrip("/") + ("/" if part["key"] == "deletedFolder" else ""))
        for one in gone:
            if not any(known == one or (one.endswith("/") and known.startswith(one)) for known in repo.head.files):
                return error(404, "EntryNotFound", "A file with this name doesn't exist")
        author = "runner" if header["summary"].startswith("[forge]") else "user"
        try:
            commit: Commit = repo.commit(header["summary"], files, tuple(gone), header.get("parentCommit"), author)
        except StaleParentError:
            return error(412, "", "The branch was updated since you opened this page. Please refresh and try again.")
        url = f"{self.server_hub.endpoint}/datasets/{repo.name}/commit/{commit.oid}"
        return as_json({"success": True, "commitUrl": url, "commitOid": commit.oid})

    def _squash(self, repo: Repo, path: list[str], query: dict[str, list[str]], body: bytes) -> Reply:
        repo.squash(json.loads(body).get("message", "squash"))
        return Reply(200)

    def _resolve(self, repo: Repo, path: list[str], query: dict[str, list[str]], body: bytes) -> Reply:
        commit = repo.at(path[0])
        if commit is None:
            return error(404, "RevisionNotFound", "Invalid rev id")
        blob = commit.files.get(path[1])
        if blob is None:
            return error(404, "EntryNotFound", f"{path[1]} does not exist")
        headers = {
            "X-Repo-Commit": commit.oid,
            "ETag": f'"{blob.etag}"',
            "Content-Length": str(blob.size),
            "Accept-Ranges": "bytes",
        }
        if blob.lfs:
            headers |= {"X-Linked-Etag": f'"{blob.sha256}"', "X-Linked-Size": str(blob.size)}
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, end = int(found[1]), int(found[2] or blob.size - 1)
            part = blob.data[start : end + 1]
            headers |= {"Content-Length": str(len(part)), "Content-Range": f"bytes {start}-{end}/{blob.size}"}
            return Reply(206, part, headers)
        return Reply(200, blob.data, headers)
