"""The Hub's endpoints, each a function from a request to a response over the state.

Every route has a *kind*: the name by which faults are planned and requests are counted.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

import yaml

from tests.hub_server import xet
from tests.hub_server.state import Account, Change, Commit, Entry, Refused, Repo, State, upload_mode
from tests.hub_server.wire import Request, Response

Endpoint = Callable[["Api", Request], Response]

_REPO = r"(?P<repo>[^/]+/[^/]+)"
_OF_REPO = rf"/api/datasets/{_REPO}"
_PAGE = 1000


@dataclass(frozen=True)
class Route:
    method: str
    pattern: re.Pattern[str]
    kind: str
    endpoint: Endpoint


class Api:
    """The endpoints and what they keep beside the Hub's state: storage tokens and unfinished uploads."""

    def __init__(self, state: State, *, offers_xet: bool = True, multipart_from: int | None = None) -> None:
        self.state = state
        self.offers_xet = offers_xet
        self.multipart_from = multipart_from
        self.shard_versions: tuple[str, ...] = ("v1", "v2")
        self._cas_tokens: dict[str, str] = {}
        self._parts: dict[tuple[str, int], bytes] = {}

    # ── who may what ──

    def readable(self, request: Request) -> Repo:
        """The repo, if this caller may see it. Missing and forbidden look the same."""
        repo_id = unquote(request.groups["repo"])
        repo = self.state.repos.get(repo_id)
        seen = repo is not None and (not repo.private or (request.account and request.account.may_read(repo_id)))
        if repo is None or not seen:
            raise Refused(404 if request.account else 401, "Repository not found", "RepoNotFound")
        return repo

    def writable(self, request: Request) -> Repo:
        repo = self.readable(request)
        if request.account is None:
            raise Refused(401, "Invalid username or password.")
        if not request.account.may_write(repo.repo_id):
            raise Refused(403, "Forbidden: you must have write access to this repo with this token")
        return repo

    def revision(self, request: Request, repo: Repo) -> Commit:
        return repo.resolve(unquote(request.groups.get("rev") or "main"))

    # ── account and repos ──

    def whoami(self, request: Request) -> Response:
        account = _known(request)
        orgs = [{"name": name, "roleInOrg": "write"} for name in account.orgs]
        token = {"displayName": "test", "role": account.role}
        auth = {"type": "access_token", "accessToken": token}
        return Response.of({"type": "user", "id": account.name, "name": account.name, "orgs": orgs, "auth": auth})

    def create(self, request: Request) -> Response:
        account, asked = _known(request), request.json()
        namespace = asked.get("organization") or account.name
        repo_id = f"{namespace}/{asked['name']}"
        if not account.may_create(namespace):
            raise Refused(403, f"You don't have the rights to create a dataset under the namespace {namespace!r}")
        url = {"url": f"{request.base}/datasets/{repo_id}", "name": repo_id, "id": repo_id}
        if repo_id in self.state.repos:
            return Response.of({"error": "You already created this dataset repo", **url}, 409)
        self.state.create(repo_id, private=asked.get("visibility") == "private", author=account.name)
        return Response.of(url)

    def delete(self, request: Request) -> Response:
        account, asked = _known(request), request.json()
        repo_id = f"{asked.get('organization') or account.name}/{asked['name']}"
        if not account.may_create(repo_id.split("/")[0]):
            raise Refused(403, "Forbidden")
        self.state.delete(repo_id)
        return Response.of({})

    def settings(self, request: Request) -> Response:
        repo, asked = self.writable(request), request.json()
        if "visibility" in asked or "private" in asked:
            repo.private = asked.get("private", asked.get("visibility") == "private")
        repo.gated = asked.get("gated", repo.gated)
        self.state.save()
        return Response.of({"private": repo.private, "gated": repo.gated})

    def auth_check(self, request: Request) -> Response:
        (self.writable if request.path.endswith("/write") else self.readable)(request)
        return Response.of({})

    def validate_yaml(self, request: Request) -> Response:
        content = request.json()["content"]
        try:
            front = _front_matter(content)
        except yaml.YAMLError as error:
            return Response.of({"errors": [{"message": f"bad YAML: {error}".replace("\n", " ")}], "warnings": []}, 400)
        warnings = [] if front else [{"message": "empty or missing yaml metadata in repo card"}]
        return Response.of({"errors": [], "warnings": warnings})

    # ── reading ──

    def repo_info(self, request: Request) -> Response:
        repo = self.readable(request)
        commit = self.revision(request, repo)
        blobs = request.query.get("blobs") in ("1", "true", "True")
        siblings = [
            {"rfilename": path, **(_blob(entry) if blobs else {})} for path, entry in sorted(commit.tree.items())
        ]
        return Response.of(
            {
                "_id": repo.repo_id,
                "id": repo.repo_id,
                "author": repo.repo_id.split("/")[0],
                "sha": commit.oid,
                "lastModified": commit.date,
                "createdAt": commit.date,
                "private": repo.private,
                "gated": repo.gated,
                "disabled": False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "cardData": self._card_data(commit),
                "siblings": siblings,
            }
        )

    def _card_data(self, commit: Commit) -> Any:
        readme = commit.tree.get("README.md")
        try:
            return _front_matter(self.state.content(readme.sha256).decode()) if readme else None
        except (yaml.YAMLError, UnicodeDecodeError):
            return None

    def tree(self, request: Request) -> Response:
        commit = self.revision(request, self.readable(request))
        folder = unquote(request.groups.get("path") or "").strip("/")
        recursive = request.query.get("recursive") in ("1", "true", "True")
        entries = list(_list(commit, folder, recursive=recursive))
        if not entries and folder:
            raise Refused(404, f"{folder} does not exist", "EntryNotFound")
        start = int(request.query.get("cursor", "0"))
        headers = {}
        if start + _PAGE < len(entries):
            query = f"recursive={recursive}&cursor={start + _PAGE}"
            headers["Link"] = f'<{request.base}{request.path}?{query}>; rel="next"'
        return Response.of(entries[start : start + _PAGE], headers=headers)

    def paths_info(self, request: Request) -> Response:
        commit = self.revision(request, self.readable(request))
        paths = parse_qs(request.body.decode()).get("paths", [])
        return Response.of([_tree_entry(path, commit.tree[path]) for path in paths if path in commit.tree])

    def refs(self, request: Request) -> Response:
        refs = self.readable(request).refs.items()

        def named(prefix: str) -> list[dict[str, str]]:
            found = [(ref, oid) for ref, oid in refs if ref.startswith(prefix)]
            return [{"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": oid} for ref, oid in found]

        kinds = {"branches": named("refs/heads/"), "tags": named("refs/tags/"), "converts": []}
        return Response.of({**kinds, "pullRequests": named("refs/pr/")})

    def commits(self, request: Request) -> Response:
        repo = self.readable(request)
        history = repo.history(unquote(request.groups["rev"]))
        return Response.of([_told(commit) for commit in history])

    def resolve(self, request: Request) -> Response:
        commit = self.revision(request, self.readable(request))
        path = unquote(request.groups["path"])
        entry = commit.tree.get(path)
        if entry is None:
            raise Refused(404, f"Entry not found: {path}", "EntryNotFound")
        headers = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
        if not entry.lfs:
            return self._served(request, entry.sha256, {**headers, "ETag": f'"{entry.blob}"'})
        large = {"X-Linked-Etag": f'"{entry.sha256}"', "X-Linked-Size": str(entry.size), "ETag": f'"{entry.sha256}"'}
        location = f"{request.base}/storage/{entry.sha256}?commit={commit.oid}"
        return Response(302, b"", {**headers, **large, "Location": location})

    def storage(self, request: Request) -> Response:
        sha256 = request.groups["sha"]
        if not self.state.has(sha256):
            raise Refused(404, "no such object")
        commit = request.query.get("commit", "0" * 40)
        linked = {"X-Linked-Etag": f'"{sha256}"', "X-Repo-Commit": commit, "ETag": f'"{sha256}"'}
        return self._served(request, sha256, linked)

    def _served(self, request: Request, sha256: str, headers: dict[str, str]) -> Response:
        content = self.state.content(sha256)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if asked is None:
            return Response(200, content, headers)
        first, last = int(asked[1]), int(asked[2]) if asked[2] else len(content) - 1
        if first >= len(content):
            return Response(416, b"", {**headers, "Content-Range": f"bytes */{len(content)}"})
        part = content[first : last + 1]
        span = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
        return Response(206, part, {**headers, "Content-Range": span})

    # ── writing ──

    def preupload(self, request: Request) -> Response:
        repo = self.writable(request)
        tree, answers = self.revision(request, repo).tree, []
        ignored = _ignored(self.state, tree)
        for file in request.json()["files"]:
            sample, current = base64.b64decode(file["sample"]), tree.get(file["path"])
            mode = upload_mode(repo, "main", file["path"], file["size"], sample)
            oid = current and (current.sha256 if current.lfs else current.blob)
            answers.append(
                {"path": file["path"], "uploadMode": mode, "shouldIgnore": ignored(file["path"]), "oid": oid}
            )
        return Response.of({"files": answers})

    def commit(self, request: Request) -> Response:
        repo = self.writable(request)
        change = self._change([json.loads(line) for line in request.body.splitlines() if line.strip()])
        branch = unquote(request.groups["rev"])
        commit = self.state.commit(repo.repo_id, branch, change, _known(request).name)
        url = f"{request.base}/datasets/{repo.repo_id}/commit/{commit.oid}"
        return Response.of({"success": True, "commitOid": commit.oid, "commitUrl": url})

    def _change(self, lines: list[dict[str, Any]]) -> Change:
        header: dict[str, Any] = next((line["value"] for line in lines if line["key"] == "header"), {})
        put: dict[str, Entry] = {}
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                put[value["path"]] = self.state.regular(base64.b64decode(value["content"]))
            elif line["key"] == "lfsFile":
                size = value.get("size") or len(self.state.content(value["oid"]))
                put[value["path"]] = self.state.large(value["oid"], size)
        return Change(
            title=header.get("summary", ""),
            description=header.get("description", ""),
            parent=header.get("parentCommit"),
            put=put,
            remove=tuple(_paths(lines, "deletedFile")),
            remove_folders=tuple(_paths(lines, "deletedFolder")),
        )

    def squash(self, request: Request) -> Response:
        repo = self.writable(request)
        message = (request.json() or {}).get("message") or "Super-squash branch"
        self.state.squash(repo.repo_id, unquote(request.groups["rev"]), message, _known(request).name)
        return Response.of({})

    def make_ref(self, request: Request) -> Response:
        repo, kind = self.writable(request), request.groups["ref"]
        asked = request.json() if request.body else {}
        if kind == "branch":
            ref, start = f"refs/heads/{unquote(request.groups['rev'])}", asked.get("startingPoint") or "main"
        else:
            ref, start = f"refs/tags/{asked['tag']}", unquote(request.groups["rev"])
        if ref in repo.refs:
            raise Refused(409, f"{ref} exists")
        repo.refs[ref] = repo.resolve(start).oid
        self.state.save()
        return Response.of({})

    def drop_ref(self, request: Request) -> Response:
        repo = self.writable(request)
        folder = "heads" if request.groups["ref"] == "branch" else "tags"
        ref = f"refs/{folder}/{unquote(request.groups['rev'])}"
        if repo.refs.pop(ref, None) is None:
            raise Refused(404, f"{ref} does not exist", "RevisionNotFound")
        self.state.collect(repo)
        return Response.of({})

    # ── large files, the plain way ──

    def lfs_batch(self, request: Request) -> Response:
        self.writable(request)
        objects = [self._lfs_object(request, each["oid"], each["size"]) for each in request.json()["objects"]]
        many = any("chunk_size" in each.get("actions", {}).get("upload", {}).get("header", {}) for each in objects)
        return Response.of({"transfer": "multipart" if many else "basic", "objects": objects})

    def _lfs_object(self, request: Request, oid: str, size: int) -> dict[str, Any]:
        if self.state.has(oid):
            return {"oid": oid, "size": size}
        upload: dict[str, Any] = {"href": f"{request.base}/lfs/{oid}", "header": {}}
        if self.multipart_from is not None and size > self.multipart_from:
            chunk = self.multipart_from
            parts = {f"{n:05d}": f"{request.base}/lfs/{oid}/{n}" for n in range(1, -(-size // chunk) + 1)}
            upload = {"href": f"{request.base}/lfs/{oid}/complete", "header": {"chunk_size": str(chunk), **parts}}
        repo = unquote(request.groups["repo"])
        verify = {"href": f"{request.base}/api/datasets/{repo}/lfs-verify", "header": {}}
        return {"oid": oid, "size": size, "actions": {"upload": upload, "verify": verify}}

    def lfs_put(self, request: Request) -> Response:
        if self.state.keep(request.body) != request.groups["sha"]:
            raise Refused(400, "the content has another sha256")
        return Response()

    def lfs_part(self, request: Request) -> Response:
        self._parts[request.groups["sha"], int(request.groups["part"])] = request.body
        return Response(headers={"ETag": f'"{request.groups["sha"][:8]}-{request.groups["part"]}"'})

    def lfs_complete(self, request: Request) -> Response:
        sha256, numbers = request.groups["sha"], [part["partNumber"] for part in request.json()["parts"]]
        content = b"".join(self._parts[sha256, number] for number in sorted(numbers))
        if self.state.keep(content) != sha256:
            raise Refused(400, "the parts have another sha256")
        return Response.of({})

    def lfs_verify(self, request: Request) -> Response:
        asked = request.json()
        self.writable(request)
        if not self.state.has(asked["oid"]) or len(self.state.content(asked["oid"])) != asked["size"]:
            raise Refused(404, "the object is not there")
        return Response.of({})

    def lfs_files(self, request: Request) -> Response:
        repo = self.readable(request)
        return Response.of([self._lfs_file(sha256, path) for sha256, path in repo.objects.items()])

    def _lfs_file(self, sha256: str, path: str) -> dict[str, Any]:
        where = {"filename": path, "pushedAt": "2026-01-01T00:00:00.000Z", "ref": "refs/heads/main"}
        return {"fileOid": sha256, "oid": sha256, "size": len(self.state.content(sha256)), **where}

    def lfs_drop(self, request: Request) -> Response:
        repo, asked = self.writable(request), request.json()["deletions"]
        self.state.expunge(repo, set(asked["sha"]), rewrite_history=bool(asked.get("rewriteHistory")))
        return Response.of({})

    # ── large files, the Xet way ──

    def xet_token(self, request: Request) -> Response:
        if not self.offers_xet:
            raise Refused(404, "this Hub has no Xet storage")
        repo = self.writable(request)
        token, expires = secrets.token_hex(16), int(time.time()) + 3600
        self._cas_tokens[token] = repo.repo_id
        headers = {
            "X-Xet-Access-Token": token,
            "X-Xet-Token-Expiration": str(expires),
            "X-Xet-Cas-Url": request.base,
        }
        return Response.of({"accessToken": token, "exp": expires, "casUrl": request.base}, headers=headers)

    def xorb(self, request: Request) -> Response:
        self._check_cas(request)
        name = request.groups["hash"]
        fresh = self.state.xorb(name) is None
        if fresh:
            xet.read_xorb(request.body)
            self.state.keep_xorb(name, request.body)
        return Response.of({"was_inserted": fresh})

    def xet_shard(self, request: Request) -> Response:
        self._check_cas(request)
        if request.path.split("/")[1] not in self.shard_versions:
            raise Refused(404, "not here")
        for recipe in xet.read_shard(request.body):
            self._rebuild(recipe)
        if request.path.startswith("/v2"):
            return Response(200, b'{"type":"result"}\n', {"Content-Type": "application/x-ndjson"})
        return Response.of({"result": 1})

    def _rebuild(self, recipe: xet.FileRecipe) -> None:
        unpacked: dict[str, list[bytes]] = {}

        def chunks(name: str) -> list[bytes]:
            if name not in unpacked:
                packed = self.state.xorb(name)
                if packed is None:
                    raise KeyError(name)
                unpacked[name] = xet.read_xorb(packed)
            return unpacked[name]

        sha256 = self.state.keep(xet.rebuild(recipe, chunks))
        if recipe.sha256 not in (None, sha256):
            raise xet.Malformed("a file of another sha256 than the shard says")

    def _check_cas(self, request: Request) -> None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self._cas_tokens:
            raise Refused(401, "an unknown storage token")

    def nothing(self, request: Request) -> Response:
        raise Refused(404, "not here")

    def telemetry(self, request: Request) -> Response:
        return Response()


def _known(request: Request) -> Account:
    if request.account is None:
        raise Refused(401, "Invalid username or password.")
    return request.account


def _front_matter(content: str) -> Any:
    found = re.match(r"---\r?\n(.*?)\r?\n---(\r?\n|$)", content, re.DOTALL)
    return yaml.load(found[1], getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if found else None


def _blob(entry: Entry) -> dict[str, Any]:
    lfs = {"lfs": {"sha256": entry.sha256, "size": entry.size, "pointerSize": 134}} if entry.lfs else {}
    return {"size": entry.size, "blobId": entry.blob, **lfs}


def _tree_entry(path: str, entry: Entry) -> dict[str, Any]:
    lfs = {"lfs": {"oid": entry.sha256, "size": entry.size, "pointerSize": 134}} if entry.lfs else {}
    return {"type": "file", "path": path, "oid": entry.blob, "size": entry.size, **lfs}


def _list(commit: Commit, folder: str, *, recursive: bool) -> Iterable[dict[str, Any]]:
    prefix, seen = f"{folder}/" if folder else "", set()
    for path, entry in sorted(commit.tree.items()):
        if not path.startswith(prefix):
            continue
        steps = path[len(prefix) :].split("/")[:-1]
        for depth in range(1, len(steps) + 1 if recursive else min(len(steps), 1) + 1):
            inner = prefix + "/".join(steps[:depth])
            if inner not in seen:
                seen.add(inner)
                yield {"type": "directory", "path": inner, "oid": "0" * 40, "size": 0}
        if recursive or not steps:
            yield _tree_entry(path, entry)


def _told(commit: Commit) -> dict[str, Any]:
    who = [{"user": commit.author}]
    return {"id": commit.oid, "title": commit.title, "message": commit.description, "date": commit.date, "authors": who}


def _paths(lines: list[dict[str, Any]], key: str) -> Iterable[str]:
    return (line["value"]["path"] for line in lines if line["key"] == key)


def _ignored(state: State, tree: Any) -> Callable[[str], bool]:
    entry = tree.get(".gitignore")
    lines = state.content(entry.sha256).decode().split() if entry else []
    patterns = [re.compile(re.escape(line).replace(r"\*", ".*")) for line in lines]
    return lambda path: any(pattern.fullmatch(path) or pattern.fullmatch(path.split("/")[-1]) for pattern in patterns)


def _routes() -> list[Route]:
    table: list[tuple[str, str, str, Endpoint]] = [
        ("GET", "/api/whoami-v2", "whoami", Api.whoami),
        ("POST", "/api/repos/create", "create", Api.create),
        ("DELETE", "/api/repos/delete", "delete", Api.delete),
        ("POST", "/api/validate-yaml", "validate_yaml", Api.validate_yaml),
        ("PUT", f"{_OF_REPO}/settings", "settings", Api.settings),
        ("GET", f"{_OF_REPO}/auth-check(/write)?", "auth_check", Api.auth_check),
        ("GET", f"{_OF_REPO}(/revision/(?P<rev>[^/]+))?", "repo_info", Api.repo_info),
        ("GET", f"{_OF_REPO}/tree/(?P<rev>[^/]+)(/(?P<path>.+))?", "tree", Api.tree),
        ("POST", f"{_OF_REPO}/paths-info/(?P<rev>[^/]+)", "paths_info", Api.paths_info),
        ("GET", f"{_OF_REPO}/refs", "refs", Api.refs),
        ("GET", f"{_OF_REPO}/commits/(?P<rev>[^/]+)", "commits", Api.commits),
        ("POST", f"{_OF_REPO}/(?P<ref>branch|tag)/(?P<rev>[^/]+)", "make_ref", Api.make_ref),
        ("DELETE", f"{_OF_REPO}/(?P<ref>branch|tag)/(?P<rev>[^/]+)", "drop_ref", Api.drop_ref),
        ("POST", f"{_OF_REPO}/super-squash/(?P<rev>[^/]+)", "squash", Api.squash),
        ("GET", f"{_OF_REPO}/lfs-files", "lfs_files", Api.lfs_files),
        ("POST", f"{_OF_REPO}/lfs-files/batch", "lfs_drop", Api.lfs_drop),
        ("POST", f"{_OF_REPO}/lfs-verify", "lfs_verify", Api.lfs_verify),
        ("POST", f"{_OF_REPO}/preupload/(?P<rev>[^/]+)", "preupload", Api.preupload),
        ("POST", f"{_OF_REPO}/commit/(?P<rev>[^/]+)", "commit", Api.commit),
        ("GET", f"{_OF_REPO}/xet-write-token/(?P<rev>[^/]+)", "xet_token", Api.xet_token),
        ("POST", rf"/datasets/{_REPO}\.git/info/lfs/objects/batch", "lfs_batch", Api.lfs_batch),
        ("PUT", "/lfs/(?P<sha>[0-9a-f]{64})", "lfs_put", Api.lfs_put),
        ("PUT", "/lfs/(?P<sha>[0-9a-f]{64})/(?P<part>[0-9]+)", "lfs_put", Api.lfs_part),
        ("POST", "/lfs/(?P<sha>[0-9a-f]{64})/complete", "lfs_complete", Api.lfs_complete),
        ("GET", f"/datasets/{_REPO}/resolve/(?P<rev>[^/]+)/(?P<path>.+)", "resolve", Api.resolve),
        ("GET", "/storage/(?P<sha>[0-9a-f]{64})", "storage", Api.storage),
        ("GET", "/v1/chunks/.+", "xet_chunk", Api.nothing),
        ("POST", "/v1/xorbs/default/(?P<hash>[0-9a-f]{64})", "xorb", Api.xorb),
        ("POST", "/v2/shards", "xet_shard", Api.xet_shard),
        ("POST", "/v1/shards", "xet_shard_v1", Api.xet_shard),
        ("POST", "/v1/telemetry", "telemetry", Api.telemetry),
    ]
    return [Route(method, re.compile(pattern), kind, endpoint) for method, pattern, kind, endpoint in table]


ROUTES = _routes()


def find_route(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The route of a request and the parts of its path. A HEAD goes where the GET would."""
    wanted = "GET" if method == "HEAD" else method
    for route in ROUTES:
        if route.method == wanted and (found := route.pattern.fullmatch(path)):
            return route, {name: part for name, part in found.groupdict().items() if part is not None}
    return None
