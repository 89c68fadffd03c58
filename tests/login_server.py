"""Play the Hub's OAuth: a page on which one chooses who one is, then codes, tokens and keys as OpenID Connect has them."""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "the-space-s-client", "the secret of the Space's client"


class LoginServer:
    """Be the server.

    Attributes:
        accounts: Who may log in.
        lifetime: Seconds that a login lasts.
        address: Where it listens.
    """

    def __init__(self, *accounts: str, lifetime: int = 28_800) -> None:
        self.accounts, self.lifetime = accounts, lifetime
        self.key = RSAKey.generate_key(2048, {"kid": "k1"})
        self._codes: dict[str, tuple[str, str]] = {}
        one = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                one.get(self)

            def do_POST(self) -> None:
                one.token(self)

            def log_message(self, *args: Any) -> None:
                """Keep quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop to listen."""
        self.server.shutdown()
        self.server.server_close()

    def environment(self, owner: str) -> dict[str, str]:
        """Give what the platform sets for a Space that asks for OAuth."""
        return {
            "SYSTEM": "spaces", "SPACE_ID": f"{owner}/page", "SPACE_AUTHOR_NAME": owner, "OPENID_PROVIDER_URL": self.address,
            "OAUTH_CLIENT_ID": CLIENT, "OAUTH_CLIENT_SECRET": SECRET, "OAUTH_SCOPES": "openid profile",
        }  # fmt: skip

    def get(self, request: BaseHTTPRequestHandler) -> None:
        """Answer with the metadata, the keys, the page of accounts, or the way back with a code."""
        url = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/.well-known/openid-configuration":
            paths = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "jwks"}
            _answer(request, {"issuer": self.address, **{name: f"{self.address}/oauth/{path}" for name, path in paths.items()}})
        elif url.path == "/oauth/jwks":
            _answer(request, {"keys": [self.key.as_dict(private=False)]})
        elif url.path == "/oauth/authorize" and query["client_id"] == CLIENT:
            links = "".join(f'<a href="/as/{name}?{escape(url.query)}">{name}</a> ' for name in self.accounts)
            _answer(request, f"<!doctype html><title>Log in</title>{links}")
        elif url.path.startswith("/as/"):
            code = secrets.token_urlsafe(8)
            self._codes[code] = url.path.removeprefix("/as/"), query["nonce"]
            back = query["redirect_uri"]
            request.send_response(302)
            request.send_header(
                "Location", f"{back}{'&' if '?' in back else '?'}{urlencode({'code': code, 'state': query['state']})}"
            )
            request.end_headers()
        else:
            request.send_error(404)

    def token(self, request: BaseHTTPRequestHandler) -> None:
        """Exchange a code, once, for who came back with it; only the Space's own client may."""
        form = parse_qs(request.rfile.read(int(request.headers["content-length"])).decode())
        wanted = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if request.headers.get("authorization") != wanted or form["code"][0] not in self._codes:
            request.send_error(401)
            return
        account, nonce = self._codes.pop(form["code"][0])
        now = int(time.time())
        claims = {
            "iss": self.address, "aud": CLIENT, "sub": f"id of {account}", "iat": now, "exp": now + 3600, "nonce": nonce,
            "preferred_username": account, "name": account, "profile": f"{self.address}/{account}", "picture": "",
        }  # fmt: skip
        identity = jwt.encode({"alg": "RS256", "kid": "k1"}, claims, self.key)
        _answer(
            request,
            {
                "access_token": secrets.token_urlsafe(),
                "token_type": "bearer",
                "expires_in": self.lifetime,
                "id_token": identity,
            },
        )


def _answer(request: BaseHTTPRequestHandler, found: object) -> None:
    text = found if isinstance(found, str) else json.dumps(found)
    request.send_response(200)
    request.send_header("Content-Type", "text/html" if isinstance(found, str) else "application/json")
    request.end_headers()
    request.wfile.write(text.encode())
