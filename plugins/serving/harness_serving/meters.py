"""What `/metrics` shows, in a registry of the server's own."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

__all__ = ["CONTENT_TYPE", "PATHS", "Meters"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PATHS = ("/health", "/metrics", "/openapi.json", "/v1/forecast", "/v1/models")
"""Any other path counts as "other": names that strangers make up would fill the memory."""
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
WINDOWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Meters:
    """Counters of one server.

    Args:
        depth: gives the number of requests that wait or are being forecast.
        alive: tells whether the worker runs with the model loaded.
    """

    def __init__(self, depth: Callable[[], int], alive: Callable[[], bool]) -> None:
        self.registry = CollectorRegistry()
        mine = self.registry
        ProcessCollector(registry=mine)
        self.requests = Counter("harness_requests_total", "Requests answered.", ["path", "status"], registry=mine)
        self.seconds = Histogram(
            "harness_request_seconds", "From the head of a request to the end of its answer.", ["path"], buckets=SECONDS, registry=mine
        )
        self.batches = Histogram("harness_batch_windows", "Windows of each call of the model.", buckets=WINDOWS, registry=mine)
        self.model = Histogram("harness_model_seconds", "Seconds of each call of the model, in the worker.", buckets=SECONDS, registry=mine)
        self.restarts = Counter("harness_worker_restarts_total", "Workers that were lost: crashed, hung, killed.", registry=mine)
        self.worker_peak = Gauge(
            "harness_worker_peak_rss_bytes", "Peak resident memory of the worker, as of its last answer.", registry=mine
        )
        Gauge("harness_queue_depth", "Requests that wait or are being forecast.", registry=mine).set_function(depth)
        Gauge("harness_worker_up", "1 where the worker runs with the model loaded.", registry=mine).set_function(alive)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request; status 499 is one whose client went away."""
        path = path if path in PATHS else "other"
        self.requests.labels(path, str(status)).inc()
        self.seconds.labels(path).observe(seconds)

    def batch(self, windows: int, seconds: float, peak_rss_mb: float) -> None:
        """Count a call of the model."""
        self.batches.observe(windows)
        self.model.observe(seconds)
        self.worker_peak.set(peak_rss_mb * 2**20)

    def text(self) -> bytes:
        """In the text format of Prometheus 0.0.4."""
        return generate_latest(self.registry)
