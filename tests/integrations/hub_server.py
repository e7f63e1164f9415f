"""A small server with the Hub's HTTP interface, as far as saving and loading models uses it, in this process's memory.

Written after the interface's description by its public client: repositories and commits by JSON lines, large files by
Git LFS, files by ``resolve`` with the headers that say commit, hash and size.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


class Hub(ThreadingHTTPServer):
    """Repositories by name, each a list of commits: (hash, files).

    Of repositories called ``status-500`` or another status it answers that to everything, of ``garbage`` a page.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, list[tuple[str, dict[str, bytes]]]] = {}
        self.large: dict[str, bytes] = {}
        self.asked: list[str] = []
        """method and path of every request"""
        self.tokens: set[str | None] = set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def commit(self, repo: str, files: dict[str, bytes]) -> str:
        """Add a commit that holds ``files``."""
        own = self.repos[repo]
        name = hashlib.sha1(f"{repo} {len(own)}".encode()).hexdigest()
        own.append((name, files))
        return name

    def files(self, repo: str, revision: str = "main") -> tuple[str, dict[str, bytes]]:
        """The commit of this name, or the newest."""
        own = self.repos[repo]
        return own[-1] if revision == "main" else next(each for each in own if each[0] == revision)


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Nothing on standard error."""

    def reply(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def json(self, value: object) -> None:
        self.reply(200, json.dumps(value).encode(), Content_Type="application/json")

    def do_GET(self) -> None:
        self.answer()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(f"{self.command} {path}")
        self.server.tokens.add(self.headers.get("Authorization"))
        parts = path.strip("/").split("/")
        repo = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        if path == "/api/repos/create":
            asked = json.loads(body)
            repo = "/".join(each for each in (asked.get("organization"), asked["name"]) if each)
        name = repo.partition("/")[2]
        if name.startswith("status-"):
            self.reply(int(name.removeprefix("status-")), b"{}")
        elif name == "garbage":
            self.reply(200, b"<html>a page</html>")
        elif path == "/api/repos/create":
            made = {"url": f"{self.server.address}/{repo}", "name": repo, "id": repo}
            if repo in self.server.repos:
                self.reply(409, json.dumps(made).encode())
                return
            self.server.repos[repo] = []
            self.server.commit(repo, {".gitattributes": b"*.safetensors filter=lfs\n"})
            self.json(made)
        elif path == "/api/validate-yaml":
            self.json({"errors": [], "warnings": []})
        elif parts[0] == "large":
            self.server.large[parts[1]] = body
            self.reply(200)
        elif path.endswith(".git/info/lfs/objects/batch"):
            upload = {"upload": {"href": f"{self.server.address}/large/"}}
            objects = [
                {**each, "actions": {"upload": {"href": upload["upload"]["href"] + each["oid"]}}}
                for each in json.loads(body)["objects"]
            ]
            self.json({"transfer": "basic", "objects": objects})
        elif repo not in self.server.repos:
            self.reply(404, b"{}", X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
        elif parts[4:5] == ["preupload"]:
            modes = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                    "oid": None,
                }
                for file in json.loads(body)["files"]
            ]
            self.json({"files": modes})
        elif parts[4:5] == ["commit"]:
            self.committed(repo, [json.loads(line) for line in body.splitlines() if line])
        elif parts[4:5] == ["tree"]:
            _, files = self.server.files(repo)
            self.json([{"type": "file", "path": p, "size": len(c), "oid": "0"} for p, c in files.items()])
        elif parts[4:5] == ["revision"] or (parts[0] == "api" and len(parts) == 4):
            commit, files = self.server.files(repo)
            self.json({"id": repo, "sha": commit, "siblings": [{"rfilename": name} for name in files]})
        elif parts[2] == "resolve":
            self.resolved(repo, parts[3], "/".join(parts[4:]))
        else:
            self.reply(404, b"{}")

    def committed(self, repo: str, lines: list[dict[str, dict[str, str]]]) -> None:
        files = dict(self.server.files(repo)[1])
        for key, value in ((line["key"], line["value"]) for line in lines):
            if key == "deletedFile":
                files.pop(value["path"], None)
            if key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            if key == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
        commit = self.server.commit(repo, files)
        self.json({"commitOid": commit, "commitUrl": f"{self.server.address}/{repo}/commit/{commit}"})

    def resolved(self, repo: str, revision: str, name: str) -> None:
        try:
            commit, files = self.server.files(repo, revision)
        except StopIteration:
            self.reply(404, b"{}", X_Error_Code="RevisionNotFound", X_Error_Message="Revision not found")
            return
        if name not in files:
            self.reply(404, b"{}", X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
            return
        hashed = f'"{hashlib.sha256(files[name]).hexdigest()}"'
        self.reply(200, files[name], ETag=hashed, X_Repo_Commit=commit, Accept_Ranges="bytes")


@contextmanager
def serving() -> Iterator[Hub]:
    """A server on a port of its own."""
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
