"""A small server that answers like Stripe's API for checkout sessions and refunds, and signs events like its web hook.

It keeps idempotency keys as Stripe does: the same key gives the same object, another body with it is an error.
"""

import hashlib
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

SECRET = "whsec_" + "t" * 32


class StripeDouble:
    """``fails`` is the HTTP status that the next calls get; ``calls`` holds (path, form, idempotency key)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, str], str]] = []
        self.made: dict[str, tuple[dict[str, str], dict[str, Any]]] = {}
        self.fails = 0
        self.disputes: dict[str, dict[str, Any]] = {}
        self.refund_status = "succeeded"
        self._lock = threading.Lock()
        double = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
                status, body = double.answer(self.path, form, self.headers.get("Idempotency-Key", ""))
                raw = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def do_GET(self) -> None:
                raw = json.dumps(double.disputes.get(self.path.rpartition("/")[2], {"error": {"type": "x"}})).encode()
                self.send_response(200 if b'"error"' not in raw else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_args: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, form: dict[str, str], key: str) -> tuple[int, dict[str, Any]]:
        with self._lock:
            self.calls.append((path, form, key))
            if self.fails:
                kind = "api_error" if self.fails >= 500 else "invalid_request_error"
                return self.fails, {"error": {"type": kind, "message": "told to fail"}}
            if key in self.made:
                known, body = self.made[key]
                if known != form:
                    return 400, {"error": {"type": "idempotency_error", "message": "another body with this key"}}
                return 200, body
            body = self._session(form) if path == "/v1/checkout/sessions" else self._refund(form)
            self.made[key] = (form, body)
            return 200, body

    def _session(self, form: dict[str, str]) -> dict[str, Any]:
        name = f"cs_test_{uuid4().hex}"
        return {
            "id": name,
            "object": "checkout.session",
            "url": f"{self.address}/pay/{name}",
            "client_reference_id": form["client_reference_id"],
            "amount_total": int(form["line_items[0][price_data][unit_amount]"]),
            "currency": form["line_items[0][price_data][currency]"],
        }

    def _refund(self, form: dict[str, str]) -> dict[str, Any]:
        return {
            "id": f"re_{uuid4().hex}",
            "object": "refund",
            "amount": int(form["amount"]),
            "payment_intent": form["payment_intent"],
            "status": self.refund_status,
        }


def paid_event(payment: Any, **more: Any) -> dict[str, Any]:
    """What Stripe tells when a checkout was paid; ``more`` replaces fields of the session."""
    session = {
        "id": payment.session_id,
        "object": "checkout.session",
        "client_reference_id": str(payment.pk),
        "metadata": {"order_id": str(payment.pk)},
        "amount_total": payment.amount_nano // 10**7,
        "currency": "usd",
        "payment_intent": f"pi_{payment.pk.hex}",
        "payment_status": "paid",
        "customer_details": {"email": "payer@example.org"},
        **more,
    }
    return event_of("checkout.session.completed", session)


def refund_event(payment: Any, **more: Any) -> dict[str, Any]:
    thing = {
        "id": f"re_{uuid4().hex}",
        "object": "refund",
        "amount": payment.amount_nano // 10**7,
        "currency": "usd",
        "payment_intent": f"pi_{payment.pk.hex}",
        "status": "succeeded",
        "metadata": {},
        **more,
    }
    return event_of("refund.created", thing)


def dispute_of(payment: Any, **more: Any) -> dict[str, Any]:
    """A dispute as Stripe shows it; ``more`` replaces its fields."""
    return {
        "id": f"dp_{payment.pk.hex}",
        "object": "dispute",
        "amount": payment.amount_nano // 10**7,
        "currency": "usd",
        "payment_intent": f"pi_{payment.pk.hex}",
        "status": "needs_response",
        "reason": "fraudulent",
        "evidence_details": {"due_by": 1_800_000_000},
        **more,
    }


def event_of(kind: str, thing: dict[str, Any]) -> dict[str, Any]:
    return {"id": f"evt_{uuid4().hex}", "object": "event", "type": kind, "created": int(time.time()), "data": {"object": thing}}


def signed(event: dict[str, Any], *, at: int | None = None, secret: str = SECRET) -> tuple[bytes, str]:
    """The body and its signature header, as Stripe makes them."""
    body, stamp = json.dumps(event).encode(), at or int(time.time())
    mac = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return body, f"t={stamp},v1={mac}"
