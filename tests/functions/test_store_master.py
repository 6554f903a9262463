"""A store master that cannot be used: what works without it, and what does not start."""

import logging
from pathlib import Path

import pytest

from retail_pulse.api.router import STORAGE_UNAVAILABLE
from retail_pulse.storage.store_master import StoreMaster, StoreMasterError
from tests.functions.service import Service

HINT = "line 1: column StoreID is missing; the columns are separated by semicolons: save the file with commas"


@pytest.fixture(autouse=True)
def _broken(service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Break the store master once the process function has measured an image."""
    service.submit("http://127.0.0.1:9/a.png")
    service.deliver()
    path = tmp_path / "store_master.csv"
    path.write_text("AreaCode;StoreName;StoreID\n7;One;S1\n", encoding="utf-8")
    monkeypatch.setattr(StoreMaster, "load", lambda: StoreMaster.read(path))


def test_the_status_of_jobs_needs_no_store(service: Service) -> None:
    code, answer = service.get("/api/jobs")
    assert code == 200
    (job,) = answer["jobs"]
    for path in ("/api/health", "/api/usage", f"/api/jobs/{job['job_id']}"):
        assert service.get(path)[0] == 200
    code, answer = service.get("/api/status", jobid=job["job_id"])
    assert (code, answer["status"]) == (200, "failed")
    assert len(answer["error"]) == 1


def test_lists_that_show_stores_are_unavailable(service: Service) -> None:
    job = service.get("/api/jobs")[1]["jobs"][0]
    for path in (f"/api/jobs/{job['job_id']}/results", "/api/images", "/api/visits"):
        code, answer = service.get(path)
        assert (code, answer["code"], answer["detail"]) == (503, "storage_unavailable", STORAGE_UNAVAILABLE)


def test_the_log_says_so_when_status_starts(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    service.load("status")
    (error,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert error.getMessage() == "the store master cannot be used"
    assert HINT in (error.exc_text or "")


def test_submissions_are_accepted(service: Service) -> None:
    assert service.submit("http://127.0.0.1:9/a.png")


def test_process_does_not_start_since_each_image_would_fail(service: Service) -> None:
    service.load.cache_clear()
    with pytest.raises(StoreMasterError, match=HINT):
        service.load("process")
