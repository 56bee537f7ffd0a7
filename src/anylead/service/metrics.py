"""What Prometheus is told: counts and times by route, never by anything a client sent."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
_WINDOWS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters of one app, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "anylead_requests",
            "Requests answered, by route and status.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "anylead_request_seconds",
            "Time from the head of a request to the end of the answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.refused = Counter(
            "anylead_refused", "Requests refused as a queue was full.", ["queue"], registry=self.registry
        )
        self.waiting = Gauge(
            "anylead_queue_depth", "Requests that wait or are worked on.", ["queue"], registry=self.registry
        )
        self.batch = Histogram(
            "anylead_batch_windows",
            "Windows the model was given at a time.",
            buckets=_WINDOWS,
            registry=self.registry,
        )
        self.held = Gauge("anylead_held_records", "Uploads kept in memory.", registry=self.registry)

    def text(self) -> bytes:
        """Returns the state in Prometheus' text format."""
        return generate_latest(self.registry)
