"""Numbers for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from fakespan.serve.service import Service

__all__ = ["Metrics"]


class Metrics:
    """The counters of one application, in a registry of their own."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._registry = CollectorRegistry()
        self.accepted = Counter("fakespan_jobs_accepted", "Jobs accepted", registry=self._registry)
        self.refused = Counter("fakespan_jobs_refused", "Jobs refused", ["reason"], registry=self._registry)
        self.upload_bytes = Histogram(
            "fakespan_upload_bytes",
            "Size of accepted files",
            buckets=[1e5, 1e6, 1e7, 1e8, 1e9],
            registry=self._registry,
        )
        self._registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """What is read from the database at the time of the request."""
        states = GaugeMetricFamily("fakespan_jobs", "Jobs that are kept, by state", labels=["state"])
        for state, count in self._service.jobs.counts().items():
            states.add_metric([state], count)
        yield states
        used = GaugeMetricFamily("fakespan_storage_bytes", "Bytes in the data folder")
        used.add_metric([], self._service.store.used_bytes())
        yield used

    def text(self) -> bytes:
        """In the text format of Prometheus."""
        return generate_latest(self._registry)
