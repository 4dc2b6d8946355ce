"""As much of Google Cloud Storage and Azure Blob Storage as the desk asks of them, on a free port.

Written down from their REST references: it answers in their words, keeps objects in memory, and
notes what it was asked.
"""

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import google_crc32c

WRITTEN_AT = "2026-05-04T03:02:01.000Z"
WRITTEN_AT_HTTP = "Mon, 04 May 2026 03:02:01 GMT"
PAGE = 2


@dataclass
class Bucket:
    """One, called `desk`. `asked` are lines such as "GET /… bytes=0-9"."""

    name: str = "desk"
    objects: dict[str, bytes] = field(default_factory=dict)
    parts: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def page(self, prefix: str, after: str) -> tuple[list[str], str]:
        """Names in order, and where the next page begins; empty: there is none."""
        names = sorted(name for name in self.objects if name.startswith(prefix) and name > after)
        return names[:PAGE], names[PAGE - 1] if len(names) > PAGE else ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ThreadingHTTPServer
    bucket: Bucket

    def log_message(self, *args: Any) -> None:
        pass

    def handle_any(self) -> None:
        url = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(url.query).items()}
        asked_range = self.headers.get("x-ms-range") or self.headers.get("Range") or ""
        self.bucket.asked.append(f"{self.command} {unquote(url.path)} {asked_range}".strip())
        self.body = self._read()
        self.answer(unquote(url.path))

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any  # noqa: N815

    def answer(self, path: str) -> None:
        raise NotImplementedError

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def part_of(self, content: bytes, out_of_range: Any, **headers: str) -> None:
        """The range that was asked for, or `out_of_range()`."""
        asked = self.headers.get("x-ms-range") or self.headers.get("Range")
        if not asked:
            self.reply(200, content, **headers)
            return
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", asked)
        assert match, asked
        start, stop = int(match[1]), min(int(match[2]) + 1, len(content))
        if start >= len(content):
            out_of_range()
            return
        where = f"bytes {start}-{stop - 1}/{len(content)}"
        self.reply(206, content[start:stop], Content_Range=where, **headers)


class Google(_Handler):
    """https://cloud.google.com/storage/docs/json_api"""

    def answer(self, path: str) -> None:
        if path == "/token":
            token = {"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}
            self.json(200, token)
        elif f"/b/{self.bucket.name}/" not in f"{path}/":
            self.json(404, {"error": {"code": 404, "message": "The bucket does not exist."}})
        elif path.startswith("/upload/"):
            self.upload()
        elif path.endswith(f"/b/{self.bucket.name}"):
            self.json(200, {"name": self.bucket.name})
        elif path.endswith("/o"):
            self.list()
        else:
            self.object(path.split("/o/", 1)[1])

    def json(self, status: int, body: Any, **headers: str) -> None:
        self.reply(status, json.dumps(body).encode(), Content_Type="application/json", **headers)

    def facts(self, name: str) -> dict[str, Any]:
        content = self.bucket.objects[name]
        return {
            "name": name,
            "size": str(len(content)),
            "updated": WRITTEN_AT,
            "bucket": self.bucket.name,
            "crc32c": base64.b64encode(google_crc32c.Checksum(content).digest()).decode(),
        }

    def upload(self) -> None:
        if "upload_id" in self.query:
            self.upload_part(self.query["upload_id"])
            return
        assert self.query["uploadType"] == "resumable"
        name = json.loads(self.body)["name"]
        if self.is_taken(name):
            return
        self.bucket.parts[name] = b""
        port = self.server.server_port
        where = f"http://127.0.0.1:{port}/upload/b/{self.bucket.name}/o?upload_id={name}"
        self.reply(200, Location=where)

    def upload_part(self, name: str) -> None:
        self.bucket.parts[name] += self.body
        total = self.headers["Content-Range"].rpartition("/")[2]
        have = len(self.bucket.parts[name])
        if total == "*" or have < int(total):
            self.reply(308, Range=f"bytes=0-{have - 1}")
        else:
            self.keep(name, self.bucket.parts.pop(name))

    def is_taken(self, name: str) -> bool:
        """Whether the object must be new and is not, which is then answered."""
        if "ifGenerationMatch" not in self.query or name not in self.bucket.objects:
            return False
        self.json(412, {"error": {"code": 412, "message": "conditionNotMet"}})
        return True

    def keep(self, name: str, content: bytes) -> None:
        self.bucket.objects[name] = content
        self.json(200, self.facts(name))

    def list(self) -> None:
        prefix, after = self.query.get("prefix", ""), self.query.get("pageToken", "")
        names, following = self.bucket.page(prefix, after)
        found: dict[str, Any] = {"items": [self.facts(name) for name in names]}
        self.json(200, {**found, "nextPageToken": following} if following else found)

    def object(self, name: str) -> None:
        if name not in self.bucket.objects:
            self.json(404, {"error": {"code": 404, "message": "No such object."}})
        elif self.command == "DELETE":
            del self.bucket.objects[name]
            self.reply(204)
        elif self.query.get("alt") == "media":
            self.part_of(self.bucket.objects[name], lambda: self.json(416, {}))
        else:
            self.json(200, self.facts(name))


class AzureBlobs(_Handler):
    """https://learn.microsoft.com/rest/api/storageservices"""

    def answer(self, path: str) -> None:
        _, _account, container, *rest = path.split("/", 3)
        name = rest[0] if rest else ""
        if container != self.bucket.name:
            self.fail(404, "ContainerNotFound")
        elif self.query.get("comp") == "list":
            self.list()
        elif self.command == "PUT":
            self.put(name)
        elif name not in self.bucket.objects:
            self.fail(404, "BlobNotFound")
        elif self.command == "DELETE":
            del self.bucket.objects[name]
            self.reply(202)
        else:
            facts = {
                "ETag": '"1"',
                "Last_Modified": WRITTEN_AT_HTTP,
                "x_ms_blob_type": "BlockBlob",
                "Content_Type": "application/octet-stream",
            }
            if self.command == "HEAD":
                facts["Content_Length"] = str(len(self.bucket.objects[name]))
                self.reply(200, b"", **facts)
                return
            content = self.bucket.objects[name]
            self.part_of(content, lambda: self.fail(416, "InvalidRange"), **facts)

    def fail(self, status: int, code: str) -> None:
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>No.</Message></Error>"
        kind = {"x_ms_error_code": code, "Content_Type": "application/xml"}
        self.reply(status, body.encode(), **kind)

    def put(self, name: str) -> None:
        made = {"ETag": '"1"', "Last_Modified": WRITTEN_AT_HTTP}
        if self.query.get("comp") == "block":
            self.bucket.parts[self.query["blockid"]] = self.body
            self.reply(201)
            return
        if self.headers.get("If-None-Match") == "*" and name in self.bucket.objects:
            self.fail(409, "BlobAlreadyExists")
            return
        content = self.body
        if self.query.get("comp") == "blocklist":
            ids = re.findall(r"<Latest>(.*?)</Latest>", self.body.decode())
            content = b"".join(self.bucket.parts.pop(each) for each in ids)
        self.bucket.objects[name] = content
        self.reply(201, b"", **made)

    def list(self) -> None:
        prefix, after = self.query.get("prefix", ""), self.query.get("marker", "")
        names, following = self.bucket.page(prefix, after)
        blobs = "".join(
            f"<Blob><Name>{escape(name)}</Name><Properties>"
            f"<Last-Modified>{WRITTEN_AT_HTTP}</Last-Modified><Etag>1</Etag>"
            f"<Content-Length>{len(self.bucket.objects[name])}</Content-Length>"
            "<BlobType>BlockBlob</BlobType></Properties></Blob>"
            for name in names
        )
        body = (
            f"<?xml version='1.0'?><EnumerationResults ContainerName='desk'>"
            f"<Prefix>{escape(prefix)}</Prefix><Blobs>{blobs}</Blobs>"
            f"<NextMarker>{escape(following)}</NextMarker></EnumerationResults>"
        )
        self.reply(200, body.encode(), Content_Type="application/xml")


@contextmanager
def running(kind: type[_Handler]) -> Iterator[tuple[str, Bucket]]:
    """Its address, and what it keeps."""
    bucket = Bucket()
    handler = type(kind.__name__, (kind,), {"bucket": bucket})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", bucket
        server.shutdown()
        thread.join()
