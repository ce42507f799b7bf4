"""A Hub on this machine: serves folders by the routes that huggingface_hub asks for.

Folders are `models/owner/name/REVISION/...` and `datasets/owner/name/REVISION/...` under one root; a file `.gated`
beside the revisions closes a repository. A commit is the hash of a revision's files.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from eterna.files import sha256_of


class Hub(ThreadingHTTPServer):
    """Serves the folders under `root` on a free port of 127.0.0.1."""

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.root = root

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


def commit_of(revision: Path) -> str:
    return sha256_of(revision)[:40]


def environment(endpoint: str, home: Path) -> dict[str, str]:
    """For a process of its own: this Hub, and caches under `home`."""
    ours = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "no_proxy": "127.0.0.1"}
    return {**os.environ, **ours, "PYTHONPATH": str(Path(__file__).parents[1] / "src")}


@contextmanager
def serve(root: Path) -> Iterator[Hub]:
    hub = Hub(root)
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()


class RefusedError(Exception):
    """An answer other than 200, with the Hub's own error code."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class Answer(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, format: str, *arguments: Any) -> None:
        """Keep the tests' output clean."""

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self, with_body: bool = True) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers: dict[str, str] = {}
        status = 200
        try:
            body = self._body([unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")], sent, headers)
        except RefusedError as refusal:
            status, body, headers["X-Error-Code"] = refusal.status, b"", refusal.code
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _body(self, parts: list[str], sent: bytes, headers: dict[str, str]) -> bytes:
        if parts[0] != "api":
            kind = parts.pop(0) if parts[0] == "datasets" else "models"
            return self._file(kind, "/".join(parts[:2]), parts[3], "/".join(parts[4:]), headers)
        kind, name, what, rest = parts[1], "/".join(parts[2:4]), parts[4:5], parts[5:]
        if what == ["auth-check"]:
            self._revision(kind, name, "main", closed=True)
            return b"{}"
        revision = self._revision(kind, name, rest[0] if rest else "main")
        if what == ["tree"]:
            return json.dumps(list(self._entries(revision, "/".join(rest[1:])))).encode()
        if what == ["paths-info"]:
            wanted = parse_qs(sent.decode())["paths"]
            return json.dumps([_entry(revision, path) for path in wanted if (revision / path).exists()]).encode()
        files = [{"rfilename": entry["path"]} for entry in self._entries(revision, "") if entry["type"] == "file"]
        gated = "manual" if (revision.parent / ".gated").exists() else False
        info = {"id": name, "sha": commit_of(revision), "private": False, "gated": gated, "tags": [], "siblings": files}
        return json.dumps(info).encode()

    def _revision(self, kind: str, name: str, revision: str, closed: bool = False) -> Path:
        repository = self.server.root / kind / name
        if not repository.is_dir():
            raise RefusedError(404, "RepoNotFound")
        if closed and (repository / ".gated").exists():
            raise RefusedError(403, "GatedRepo")
        for folder in (folder for folder in repository.iterdir() if folder.is_dir()):
            if revision in (folder.name, commit_of(folder)):
                return folder
        raise RefusedError(404, "RevisionNotFound")

    def _file(self, kind: str, name: str, wanted: str, path: str, headers: dict[str, str]) -> bytes:
        revision = self._revision(kind, name, wanted, closed=True)
        headers["X-Repo-Commit"] = commit_of(revision)
        if not (revision / path).is_file():
            raise RefusedError(404, "EntryNotFound")
        body = (revision / path).read_bytes()
        headers["ETag"] = f'"{hashlib.sha1(body).hexdigest()}"'  # noqa: S324
        return body

    def _entries(self, revision: Path, folder: str) -> Iterator[dict[str, Any]]:
        if not (revision / folder).is_dir():
            raise RefusedError(404, "EntryNotFound")
        recursive = parse_qs(urlsplit(self.path).query).get("recursive", ["false"])[0].lower() in ("true", "1")
        for item in sorted((revision / folder).glob("**/*" if recursive or not self._is_tree() else "*")):
            yield _entry(revision, item.relative_to(revision).as_posix())

    def _is_tree(self) -> bool:
        return "/tree/" in self.path


def _entry(revision: Path, path: str) -> dict[str, Any]:
    item = revision / path
    if item.is_dir():
        return {"type": "directory", "path": path, "oid": hashlib.sha1(path.encode()).hexdigest()}  # noqa: S324
    return {"type": "file", "path": path, "size": item.stat().st_size, "oid": sha256_of(item)[:40]}
