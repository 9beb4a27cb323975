"""Long work of a service, one at a time, in a thread of its own, with its progress."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Any

from resight.core.errors import ResightError
from resight.core.progress import Advance, Progress
from resight.service.problems import Refusal

MOST = 100  # jobs that are remembered


class Stopped(ResightError):
    """The service ends, and the job with it."""


@dataclass
class Job:
    """One piece of work. state: running, done or failed. done, total: how far it is. result: counts and words, never
    about whom. problem: the kind of error."""

    id: str
    kind: str
    who: str
    began: float
    state: str = "running"
    ended: float | None = None
    done: int = 0
    total: int = 0
    what: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    problem: str = ""


Work = Callable[[Progress], dict[str, Any]]


class Jobs:
    """The jobs of one service, in memory: they end with it."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = Lock()
        self._stop = Event()
        self._thread: Thread | None = None

    def start(self, kind: str, who: str, work: Work) -> Job:
        """Begins it. Raises Refusal if another one runs."""
        with self._lock:
            if any(job.state == "running" for job in self._jobs.values()):
                raise Refusal(409, "another job runs; wait until it has ended", "job-runs")
            job = Job(secrets.token_hex(4), kind, who, time.time())
            self._jobs[job.id] = job
            while len(self._jobs) > MOST:
                self._jobs.popitem(last=False)
        self._thread = Thread(target=self._run, args=(job, work), name=f"job {kind}", daemon=True)
        self._thread.start()
        return job

    def get(self, number: str) -> Job | None:
        """The job of this id."""
        return self._jobs.get(number)

    def all(self) -> list[Job]:
        """All jobs, the latest first."""
        return list(reversed(self._jobs.values()))

    def close(self) -> None:
        """Stops what runs, at its next step."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, job: Job, work: Work) -> None:
        @contextmanager
        def progress(what: str, total: int, start: int = 0) -> Iterator[Advance]:
            job.what, job.done, job.total = what, start, total

            def advance(done: int, note: str = "") -> None:
                job.done += done
                if self._stop.is_set():
                    raise Stopped("the service was stopped; start the job again")

            yield advance

        try:
            job.result = work(progress)
            job.state = "done"
        except ResightError as error:
            job.error, job.problem, job.state = str(error), type(error).__name__, "failed"
        except Exception as error:
            job.state, job.error = "failed", f"a defect of resight's own: {type(error).__name__}"
        job.ended = time.time()
