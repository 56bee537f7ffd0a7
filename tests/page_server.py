"""A server that speaks the service's HTTP to its page, with made-up patients; its answers can be broken."""

import json
import math
import threading
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import anylead

PAGE = Path(anylead.__file__).parent / "service" / "page"
KINDS = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}
LEADS = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]
# I and II; the other limb leads follow from them.
GAINS = {"I": 0.6, "II": 1.0, "V1": -0.5, "V2": -0.3, "V3": 0.5, "V4": 1.2, "V5": 1.1, "V6": 0.8}
EVIL = "<img src=x onerror=\"document.title='broken in'\">"
POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
RATE_HZ = 250
WAVES = (
    (0.17, 0.02, 0.12),
    (0.248, 0.009, -0.1),
    (0.27, 0.011, 1.0),
    (0.295, 0.01, -0.2),
    (0.52, 0.045, 0.28),
)


def beat(time_s: float, period_s: float) -> float:
    phase = time_s % period_s
    return sum(height * math.exp(-(((phase - centre) / width) ** 2) / 2) for centre, width, height in WAVES)


def signal(record_id: str, start_s: float, seconds: float, duration_s: float) -> dict[str, Any]:
    period = 0.75 + sum(map(ord, record_id)) % 7 * 0.05
    samples = range(round(start_s * RATE_HZ), round(min(start_s + seconds, duration_s) * RATE_HZ))
    wave = [1000 * beat(n / RATE_HZ, period) + 12 * math.sin(n * 1.7) for n in samples]
    gains = dict(GAINS)
    gains |= {"III": gains["II"] - gains["I"], "aVR": -(gains["I"] + gains["II"]) / 2}
    gains |= {"aVL": gains["I"] - gains["II"] / 2, "aVF": gains["II"] - gains["I"] / 2}
    return {
        "record_id": record_id,
        "leads": LEADS,
        "sampling_rate_hz": RATE_HZ,
        "start_s": start_s,
        "duration_s": len(samples) / RATE_HZ,
        "recording_s": duration_s,
        "microvolts": {lead: [round(gains[lead] * value) for value in wave] for lead in LEADS},
    }


def interval(value: float, spread: float = 0.05) -> dict[str, float]:
    return {"value": value, "low": max(0.0, value - spread), "high": min(1.0, value + spread)}


def match(patient: str, record: str, similarity: float, probability: float) -> dict[str, Any]:
    return {
        "patient_id": patient,
        "record_id": record,
        "similarity": similarity,
        "probability": interval(probability),
        "recorded_at": "2019-03-04T10:20:00",
        "days_apart": 412.0,
    }


def case(number: int, kind: str = "wrong patient", partner: str | None = None) -> dict[str, Any]:
    patient = f"P{number:03d}"
    return {
        "case_id": f"case-{number}",
        "kind": kind,
        "record_id": f"ward/{patient}-2",
        "patient_id": patient,
        "lead_set": "12",
        "probability": interval(0.7 - 0.1 * number, 0.12),
        "own": match(patient, f"ward/{patient}-1", 0.31, 0.02),
        "other": match(f"P{number + 40:03d}", f"ward/P{number + 40:03d}-1", 0.94, 0.9),
        "partner": partner,
        "evidence": [
            "It resembles its own patient's other recording less than 99 in 100 recordings of one person do.",
            "It resembles a recording of somebody else more than any of 4,950 pairs of strangers do.",
            "Both are of good quality and 412 days apart.",
        ],
        "review": None,
    }


def point(number: int) -> dict[str, Any]:
    patient = number // 2
    turn, far = patient * 2.4, (patient + 2) / 30
    return {
        "record_id": f"ward/P{patient:03d}-{number % 2 + 1}",
        "patient_id": f"P{patient:03d}",
        "x": math.cos(turn) * far + number % 2 * 0.02,
        "y": math.sin(turn) * far,
    }


def worklist() -> dict[str, Any]:
    return {
        "cases": [case(0, partner="ward/P040-1"), case(1), case(2, "duplicate"), case(3, "reversed leads")],
        "screened": 310,
        "not_screened": 22,
        "prevalence": 0.0005,
        "budget_table": [
            {"prevalence": 0.0005, "budget": 50, "sensitivity": interval(0.83), "bounded": True,
             "precision": interval(0.06, 0.02), "false_alerts": {"value": 48.1, "low": 40.0, "high": 49.9}}
        ],
        "expected_false_alerts": {"value": 2.1, "low": 1.25, "high": 2.75},
        "notes": [],
    }  # fmt: skip


class PageServer(ThreadingHTTPServer):
    """`broken` maps "METHOD /path" to a status, or to a list of them used up one by one."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_address[1]}/"
        self.key: str | None = None
        self.duration_s = 10.0
        self.broken: dict[str, Any] = {}
        self.asked: list[tuple[str, Any]] = []
        self.uploads: list[dict[str, Any]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def bodies(self, path: str) -> list[Any]:
        return [body for asked, body in self.asked if asked == path]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hangs up is no news."""


class Handler(BaseHTTPRequestHandler):
    server: PageServer

    def log_message(self, *words: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.route("GET")

    def do_POST(self) -> None:
        self.route("POST")

    def route(self, method: str) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        told = json.loads(body) if self.headers.get("Content-Type") == "application/json" else body
        self.server.asked.append((url.path, told))
        if not url.path.startswith("/v1/"):
            return self.file("index.html" if url.path == "/" else url.path.removeprefix("/page/"))
        if self.server.key and self.headers.get("Authorization") != f"Bearer {self.server.key}":
            return self.error(401)
        broken = self.server.broken.get(f"{method} {url.path}")
        status = broken.pop(0) if isinstance(broken, list) and broken else broken
        if status:
            return self.error(status) if isinstance(status, int) else self.error(*status)
        return self.answer(url.path, told, {name: value[0] for name, value in parse_qs(url.query).items()})

    def answer(self, path: str, told: Any, query: dict[str, str]) -> None:
        if path == "/v1/records":
            return self.upload(told)
        if path.endswith("/signal"):
            name = unquote(path.split("/records/")[1].removesuffix("/signal"))
            seconds = float(query["start_s"]), float(query["seconds"])
            return self.send(signal(name, *seconds, self.server.duration_s if name == "h1" else 10.0))
        if path == "/v1/classify":
            return self.send({"classes": classes(told["leads"]), "leads": told["leads"] or LEADS})
        if path == "/v1/identify":
            return self.identify(told["leads"])
        if path == "/v1/worklist":
            return self.send(worklist())
        if path.startswith("/v1/worklist/"):
            return self.send(None, status=204)
        if path == "/v1/gallery":
            return self.send(INFO)
        if path == "/v1/gallery/map":
            return self.send({"lead_set": "12", "points": [point(n) for n in range(120)]})
        return self.error(404)

    def upload(self, body: bytes) -> None:
        parts = message_from_bytes(f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode() + body)
        names = [
            (p.get_param("name", header="Content-Disposition"), p.get_filename()) for p in parts.get_payload()
        ]
        self.server.uploads.append({"parts": names})
        name = names[0][1] or "record"
        made = {"record": "h1", "record_id": name.rsplit(".", 1)[0], "leads": LEADS,
                "sampling_rate_hz": RATE_HZ, "duration_s": self.server.duration_s, "flags": [],
                "expires_in_s": 600}  # fmt: skip
        self.send(made, status=201)

    def identify(self, leads: list[str] | None) -> None:
        if leads and leads == ["V6"]:
            nothing = {"record_id": "r", "lead_set": "none", "matches": [], "nobody": None, "threshold": None}
            return self.send(nothing | {"verdict": "undecided", "notes": ["No lead set fits V6."]})
        number = len(leads or LEADS)
        matches = [
            match("P007", "ward/P007-1", 0.95 - 0.02 * (12 - number), 0.97 if number > 2 else 0.41),
            match("P012", "ward/P012-2", 0.62, 0.01),
            match(EVIL, "ward/P003-1", 0.4, 0.001),
        ]
        lead_set = "12" if number == 12 else "6" if number > 5 else "I-II" if number > 1 else "I"
        verdict = "known" if number > 2 else "undecided" if number == 2 else "nobody here"
        return self.send({
            "record_id": "r", "lead_set": lead_set, "matches": matches,
            "nobody": interval(0.91 if number == 1 else 0.02), "verdict": verdict, "threshold": 0.8,
            "notes": ["The threshold rests on 4,950 pairs of strangers, none of them accepted."],
        })  # fmt: skip

    def file(self, name: str) -> None:
        path = PAGE / name
        if not path.is_file():
            return self.error(404)
        self.send(path.read_bytes(), kind=KINDS[path.suffix])

    def error(self, status: int, code: str = "", message: str = "") -> None:
        sentence = message or f"The server refused this with {status}."
        wait = "0.2" if status == 429 else None
        self.send(
            {"error": {"code": code, "message": sentence, "request_id": "r-1"}},
            status=status,
            retry_after=wait,
        )

    def send(
        self,
        answer: Any,
        *,
        status: int = 200,
        kind: str = "application/json",
        retry_after: str | None = None,
    ) -> None:
        body = answer if isinstance(answer, bytes) else b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Length", str(len(body)))
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(body)


def classes(leads: list[str] | None) -> list[dict[str, Any]]:
    sure = len(leads or LEADS) / 12
    found = [
        ("atrial fibrillation", 0.12),
        ("left bundle branch block", 0.5 + 0.44 * sure),
        ("sinus rhythm", 0.83),
    ]
    return [{"name": name, "probability": p, "threshold": 0.6, "found": p >= 0.6} for name, p in found]


INFO = {
    "url": "gallery", "model": "9f1c2ab4", "preparation": "77ab01ce", "dimension": 256, "patients": 60,
    "recordings": 120, "templates": {"12": 120, "6": 120, "I": 120}, "several": 60, "keep_signals": True,
    "projected": False, "calibrated": {"12": 60, "6": 12}, "audit_lines": 143, "bytes": 1234567,
}  # fmt: skip
