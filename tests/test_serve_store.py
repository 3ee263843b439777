"""The store, the table of jobs, settings, and the sweep, without a network."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import json
import os
import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from dbos import DBOS

from fakespan.checkpoint import load_checkpoint, save_checkpoint
from fakespan.config import PostConfig
from fakespan.errors import ConfigError, UsageError
from fakespan.serve import database, runner
from fakespan.serve.database import connect
from fakespan.serve.jobs import Ending, Job, Jobs, Options
from fakespan.serve.pool import Answer
from fakespan.serve.problems import Problem
from fakespan.serve.runner import DAY_S, Runner, key_of, stored_ending
from fakespan.serve.schema import describe
from fakespan.serve.service import Service
from fakespan.serve.settings import Settings, load_settings
from fakespan.serve.store import Store, result_key
from fakespan.serve.watch import Hub
from fakespan.serve.worker import _Scanner
from scans import forged
from services import files_below, variant

WEIGHTS = Path(__file__).parents[1] / "src" / "fakespan" / "weights"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, quota_bytes=10_000, min_free_bytes=0, max_file_bytes=1_000)


@pytest.fixture
def jobs(tmp_path):
    engine = connect(Settings(data=str(tmp_path)).database_url)
    yield Jobs(engine)
    engine.dispose()


def a_job(**fields: object) -> Job:
    return Job(name="a.mp4", options=Options("small"), **fields)  # type: ignore[arg-type]


# ---- files


def test_a_file_is_found_under_its_content(store):
    incoming = store.receive()
    incoming.write(b"some")
    incoming.write(b"thing")
    sha256 = incoming.finish()
    store.adopt(incoming.path, sha256)
    incoming.discard()
    assert sha256 == "3fc9b689459d738f8c88a3a48aa9e33542016b7a4052e001aaa536fca74813cb"
    assert store.upload_path(sha256).read_bytes() == b"something"
    assert list(store.incoming_folder.iterdir()) == []


def test_a_path_is_made_of_digits_only(store):
    for digest in ("../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n", ""):
        with pytest.raises(AssertionError):
            store.upload_path(digest)


def test_orphans_are_removed_when_they_are_old_enough(store):
    known, orphan, fresh = (result_key(name, "", "", "") for name in ("known", "orphan", "fresh"))
    for key in (known, orphan, fresh):
        store.write_result(key, "{}")
        if key != fresh:
            os.utime(store.result_path(key), (1.0, 1.0))
    assert store.remove_orphans(set(), {known}, older_than_s=60) == 1
    assert store.result_path(known).exists()
    assert store.result_path(fresh).exists()
    assert not store.result_path(orphan).exists()


def test_the_lock_is_held_by_one_at_a_time(store):
    order = []

    def other() -> None:
        with store.locked():
            order.append("other")

    with store.locked():
        thread = threading.Thread(target=other)
        thread.start()
        order.append("first")
    thread.join()
    assert order == ["first", "other"]


def test_room_is_what_quota_and_size_leave(store):
    store.check_room(1_000)
    with pytest.raises(Problem, match="at most 1000"):
        store.check_room(1_001)
    for key in range(10):
        store.write_result(result_key(str(key), "", "", ""), "x" * 950)
    store.used_bytes(max_age_s=0)
    with pytest.raises(Problem, match="quota"):
        store.check_room(1_000)


def test_a_file_that_does_not_fit_onto_the_disk_is_refused_and_removed(store):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    incoming = store.receive()
    incoming.write(b"x" * 900)  # into the buffer
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        with pytest.raises(Problem) as refused:
            incoming.finish()
        incoming.discard()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refused.value.reason == "storage_full"
    assert not list(store.incoming_folder.iterdir())


def test_changes_are_told_after_the_clock_was_set_back(jobs, monkeypatch):
    first, second = (Job(name, Options("small")) for name in "ab")
    real = time.time

    async def told() -> list[str]:
        async with asyncio.timeout(10), Hub(jobs).subscribed() as changes:
            jobs.add(first)
            names = [(await changes.get()).name]
            monkeypatch.setattr(time, "time", lambda: real() - 3_600)
            jobs.add(dataclasses.replace(second, changed=time.time()))
            return [*names, (await changes.get()).name]

    assert asyncio.run(told()) == ["a", "b"]


def test_changes_are_told_after_the_database_was_away_for_a_moment(jobs, monkeypatch):
    real, errors = jobs.changed_since, [OSError("away")]

    def look(time_s: float) -> list[Job]:
        if errors:
            raise errors.pop()
        return list(real(time_s))

    async def told() -> str:
        monkeypatch.setattr(jobs, "changed_since", look)
        async with asyncio.timeout(10), Hub(jobs).subscribed() as changes:
            jobs.add(a_job())
            return (await changes.get()).name

    assert asyncio.run(told()) == "a.mp4"


def test_who_waits_for_a_job_that_is_deleted_is_let_go(jobs):
    """Even if the job ended and was deleted between two looks, so that nobody saw how it ended."""
    job, other = a_job(), a_job()
    jobs.add(job)
    jobs.add(other)

    async def told() -> Job | None:
        hub = Hub(jobs)
        async with asyncio.timeout(10), hub.subscribed(job.id) as changes, hub.subscribed() as all_changes:
            jobs.delete(job.id)
            news = await changes.get()
            while news is not None:  # of the time before, from the overlap of two looks
                news = await changes.get()
            while not all_changes.empty():
                assert all_changes.get_nowait() is not None
            return news

    assert asyncio.run(told()) is None


def test_the_key_of_a_result_depends_on_all_that_it_depends_on():
    parts = ("file", "model", {"threshold": 0.5}, "1.0")
    others = [
        ("file2", *parts[1:]),
        (parts[0], "model2", *parts[2:]),
        (*parts[:2], {"threshold": 0.6}, "1.0"),
        (*parts[:3], "2.0"),
    ]
    keys = {result_key(*values) for values in (parts, *others)}
    assert len(keys) == 5


def test_a_model_is_known_by_its_whole_file_be_it_of_torch_or_onnx(tmp_path, tiny_path):
    """A threshold that was calibrated anew makes other results with the same weights."""
    tiny = load_checkpoint(tiny_path)
    post = PostConfig(threshold=0.9)
    save_checkpoint(tmp_path / "new.safetensors", tiny.network, name="tiny", model=tiny.model, post=post)
    models = {"old": str(tiny_path), "new": str(tmp_path / "new.safetensors"), "onnx": str(WEIGHTS / "small.onnx")}
    facts = _Scanner(models, "cpu", print).facts()
    assert [facts[name]["threshold"] for name in ("old", "new")] == [0.5, 0.9]
    assert {name: facts[name]["sha256"] for name in models} == {
        name: hashlib.sha256(Path(path).read_bytes()).hexdigest() for name, path in models.items()
    }


# ---- jobs


def test_a_job_ends_once(jobs):
    job = a_job()
    jobs.add(job)
    assert jobs.start(job.id)
    assert jobs.end(job.id, Ending("failed", "time_limit", "too long"), 1.0)
    assert not jobs.end(job.id, Ending("done", result="0" * 64), 1.0)
    assert not jobs.start(job.id)
    assert not jobs.put_back(job.id)
    found = jobs.get(job.id)
    assert (found.state, found.reason, found.result) == ("failed", "time_limit", None)


def test_only_one_of_many_endings_counts(jobs):
    job = a_job()
    jobs.add(job)
    won = []
    threads = [
        threading.Thread(target=lambda k=k: won.append(jobs.end(job.id, Ending("failed", "internal", str(k)), 1.0)))
        for k in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 7 + [True]


def test_the_queue_position_follows_priority_and_age(jobs):
    first, second = a_job(priority=5, created=1.0), a_job(priority=5, created=2.0)
    urgent = a_job(priority=1, created=3.0)
    for job in (first, second, urgent):
        jobs.add(job)
    assert [jobs.position(job) for job in (urgent, first, second)] == [1, 2, 3]
    jobs.start(urgent.id)
    assert jobs.position(jobs.get(urgent.id)) is None
    assert jobs.position(second) == 2


def test_a_cancelled_job_makes_no_progress(jobs):
    job = a_job()
    jobs.add(job)
    jobs.start(job.id)
    assert jobs.progress(job.id, 1.0, 8.0)
    assert jobs.ask_to_cancel(job.id)
    assert not jobs.progress(job.id, 2.0, 8.0)
    assert not jobs.start(job.id)


def test_a_file_survives_a_second_connection(tmp_path):
    url = Settings(data=str(tmp_path)).database_url
    one, other = connect(url), connect(url)
    job = a_job()
    Jobs(one).add(job)
    assert Jobs(other).get(job.id) == job
    one.dispose()
    other.dispose()


class OnePool:
    """A pool of one worker, which finds the same in every file; the worker is the pool itself."""

    def __init__(self) -> None:
        self.models = {"small": {"sha256": "0" * 64}}

    @contextlib.contextmanager
    def worker(self) -> Iterator[OnePool]:
        yield self

    def scan(self, *_: object) -> Answer:
        return Answer(scan=forged().to_dict(), scan_s=1.0)


def test_a_result_that_is_deleted_with_another_job_meanwhile_is_made_anew(tmp_path, jobs, monkeypatch):
    def look_late(store: Store, key: str) -> Ending | None:
        ending = stored_ending(store, key)
        store.result_path(key).unlink(missing_ok=True)
        return ending

    settings, pool = Settings(data=str(tmp_path)), OnePool()
    store = Store(tmp_path, quota_bytes=1e9, min_free_bytes=0, max_file_bytes=1_000)
    job = a_job(upload="1" * 64, file_sha256="1" * 64)
    jobs.add(job)
    key = key_of(job, pool.models)
    store.write_result(key, json.dumps(forged().to_dict()))
    monkeypatch.setattr(runner, "stored_ending", look_late)
    assert Runner(settings, jobs, store, pool).run(job.id)  # type: ignore[arg-type]
    assert (jobs.get(job.id).state, jobs.get(job.id).reused) == ("done", False)
    assert store.result_path(key).is_file()


# ---- retention


def test_what_has_expired_is_swept(served):
    folder = served.service.settings.folder
    with variant(served, keep_uploads_days=0.0, keep_results_days=1e-9, orphan_s=0.0) as brief:
        job = brief.submit(threshold=0.77, content=(served.service.settings.folder / "callback-secret").read_bytes())
        failed = served.ended(job.json()["id"])
        assert failed["state"] == "failed"
        upload = served.service.jobs.get(failed["id"]).upload
        assert any(upload in name for name in files_below(folder))
        brief.service.sweep()
        assert not any(upload in name for name in files_below(folder))
        assert served.service.jobs.get(failed["id"]).upload is None
        assert "media" not in served.http.get(failed["links"]["self"]).json()["links"]
        served.service.jobs._update(failed["id"], True, result_expires=time.time() - DAY_S)  # type: ignore[arg-type]
        brief.service.sweep()
        assert served.http.get(failed["links"]["self"]).status_code == 404


def test_jobs_of_a_dead_machine_are_taken_over_later_if_that_fails(served, monkeypatch):
    engine, name = served.service.engine, "dead"
    with engine.begin() as connection:
        connection.execute(sa.insert(database.MACHINES).values(name=name, alive=1.0))

    def names() -> list[str]:
        with engine.connect() as connection:
            return list(connection.execute(sa.select(database.MACHINES.c.name)).scalars())

    def fail(**_: object) -> None:
        raise OSError("away")

    with monkeypatch.context() as away:
        away.setattr(DBOS, "list_workflows", fail)
        with pytest.raises(OSError, match="away"):
            served.service.durable.adopt()
    assert name in names()
    assert served.service.durable.adopt() == 0
    assert name not in names()


# ---- settings


def test_settings_come_from_file_environment_and_options_in_this_order(tmp_path):
    config = tmp_path / "serve.toml"
    config.write_text('port = 1\nmax_queued = 2\nurl_hosts = ["a.example"]\nkeep_uploads_days = 0\n')
    environment = {"FAKESPAN_SERVE_PORT": "3", "FAKESPAN_SERVE_PRIVATE_CALLBACKS": "true", "PATH": "/bin"}
    settings = load_settings(config, environment, {"port": 4, "host": None})
    assert (settings.port, settings.max_queued, settings.url_hosts) == (4, 2, ("a.example",))
    assert (settings.keep_uploads_days, settings.private_callbacks, settings.host) == (0.0, True, "127.0.0.1")
    assert load_settings(config, environment, {}).port == 3
    hosts = load_settings(None, {"FAKESPAN_SERVE_URL_HOSTS": "a.example, b.example"}, {}).url_hosts
    assert hosts == ("a.example", "b.example")


@pytest.mark.parametrize(
    ("environment", "options", "message"),
    [
        ({"FAKESPAN_SERVE_PROT": "1"}, {}, "FAKESPAN_SERVE_PROT"),
        ({"FAKESPAN_SERVE_PORT": "many"}, {}, "a number"),
        ({"FAKESPAN_SERVE_PRIVATE_CALLBACKS": "maybe"}, {}, "true or false"),
        ({}, {"port": 70_000}, "65535"),
        ({}, {"memory_mb": 0}, "above 0"),
        ({}, {"niceness": -1}, "at least 0"),
        ({"FAKESPAN_SERVE_KEEP_RESULTS_DAYS": "inf"}, {}, "at most 36500"),
        ({}, {"models": ()}, "at least one model"),
        ({}, {"models": ("a/small.safetensors", "small")}, "different names"),
    ],
)
def test_a_wrong_setting_is_named(environment, options, message):
    with pytest.raises(ConfigError, match=message):
        load_settings(None, environment, options)


def test_a_database_is_postgresql_or_the_file_beside_the_uploads(tmp_path):
    assert Settings(data=str(tmp_path)).database_url == f"sqlite:///{tmp_path}/jobs.sqlite"
    assert Settings(data=str(tmp_path)).executor == "local"
    many = Settings(database="postgresql://me@/jobs?host=/run/pg", machine="one")
    assert (many.database_url, many.executor) == ("postgresql+psycopg://me@/jobs?host=/run/pg", "one")
    with pytest.raises(ConfigError, match="postgresql://"):
        _ = Settings(database="mysql://me@/jobs").database_url


def test_a_database_that_cannot_be_used_is_named(call, tmp_path):
    (tmp_path / "jobs.sqlite").write_text("something else, and longer than the head of a database" * 10)
    for command in ((), ("token", "list")):
        code, _, message = call("serve", "--data", tmp_path, "--port", 0, *command)
        assert code == 2
        assert "database: expected one that can be used, got file is not a database" in message
    with pytest.raises(UsageError, match="database: expected one that can be used"):
        connect("postgresql+psycopg://nobody@127.0.0.1:1/none")


def test_a_database_of_a_newer_fakespan_is_refused_and_left_alone(jobs, tmp_path, call):
    with jobs._engine.begin() as connection:
        connection.execute(sa.text("UPDATE fakespan_version SET version = 2"))
        connection.execute(sa.text("DROP TABLE fakespan_machines"))
    for command in ((), ("token", "list")):
        code, _, message = call("serve", "--data", tmp_path, "--port", 0, *command)
        assert code == 2
        assert "database: expected tables of version 1, got version 2, of a newer fakespan" in message
    assert not sa.inspect(jobs._engine).has_table("fakespan_machines")


def test_a_database_that_states_no_version_is_of_the_first(jobs, tmp_path, monkeypatch):
    url = Settings(data=str(tmp_path)).database_url
    with jobs._engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE fakespan_version"))
    connect(url).dispose()
    monkeypatch.setattr(database, "VERSION", 2)
    with pytest.raises(UsageError, match="expected tables of version 2, got version 1, of an older fakespan"):
        connect(url)


def test_a_service_that_cannot_start_says_why(call, tmp_path):
    code, _, message = call("serve", "--data", tmp_path, "--port", 0, "--host", "203.0.113.7")
    assert code == 2
    assert "a free address of this machine" in message
    settings = Settings(data=str(tmp_path / "data"), models=("missing.safetensors",))
    with pytest.raises(UsageError, match="models that load, got missing"):
        Service(settings, describe)
