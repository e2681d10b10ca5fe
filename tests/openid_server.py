"""An OpenID provider on loopback, as the Hub is one: it lets in whoever it is told to."""

from __future__ import annotations

import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey


class OpenIDServer:
    """Authorisation-code flow with signed ID tokens. ``who`` signs in next; None: they say no at the provider."""

    def __init__(self) -> None:
        self.who: dict[str, str] | None = None
        self.key = RSAKey.generate_key(2048, {"kid": "test"})
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[dict[str, str]] = []
        handler = type("Handler", (_Handler,), {"provider": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> OpenIDServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser goes from the provider's page."""
        self.asked.append(query)
        back = {"state": query["state"]}
        if self.who is None:
            back["error"] = "access_denied"
        else:
            back["code"] = secrets.token_hex(8)
            self.codes[back["code"]] = {**self.who, "nonce": query["nonce"], "aud": query["client_id"]}
        joint = "&" if "?" in query["redirect_uri"] else "?"
        return f"{query['redirect_uri']}{joint}{urlencode(back)}"

    def token(self, form: dict[str, str]) -> dict[str, Any]:
        known = self.codes.pop(form["code"])
        claims = {**known, "iss": self.address, "iat": int(time.time()), "exp": int(time.time()) + 600}
        signed = jwt.encode({"alg": "RS256", "kid": "test"}, claims, self.key)
        return {"access_token": "hf_oauth_secret", "token_type": "bearer", "expires_in": 600, "id_token": signed}


class _Handler(BaseHTTPRequestHandler):
    provider: OpenIDServer

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if address.path == "/authorize":
            query = {name: values[0] for name, values in parse_qs(address.query).items()}
            self.send_response(302)
            self.send_header("location", self.provider.authorize(query))
            self.send_header("content-length", "0")
            self.end_headers()
            return
        here = self.provider.address
        bodies: dict[str, object] = {
            "/.well-known/openid-configuration": {
                "issuer": here,
                "authorization_endpoint": f"{here}/authorize",
                "token_endpoint": f"{here}/token",
                "jwks_uri": f"{here}/jwks",
                "id_token_signing_alg_values_supported": ["RS256"],
            },
            "/jwks": {"keys": [self.provider.key.as_dict(private=False)]},
        }
        self._answer(bodies[address.path])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self._answer(self.provider.token({name: values[0] for name, values in parse_qs(body).items()}))

    def _answer(self, body: object) -> None:
        payload = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *words: object) -> None:
        """Nothing goes to stderr."""
