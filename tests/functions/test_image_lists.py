"""GET /api/images: the images of all jobs of a client, the newest job first."""

from typing import Any

import pytest

from local.client import submission
from retail_pulse.api import schemas
from tests.functions.service import STORE, Service
from tests.functions.test_lists import get

OTHER_STORE = "S01408764"
URL = "http://127.0.0.1:9/{}.jpg"


def listed(service: Service, **query: Any) -> list[list[schemas.ListedImage]]:
    """Return the images of all pages."""
    found = []
    while True:
        code, body = service.get("/api/images", **query)
        assert code == 200
        page = schemas.ImageList.model_validate(body)
        found.append(page.images)
        if page.next_cursor is None:
            return found
        query["cursor"] = page.next_cursor


def names(pages: list[list[schemas.ListedImage]]) -> list[str]:
    return [image.url.removeprefix("http://127.0.0.1:9/").removesuffix(".jpg") for page in pages for image in page]


@pytest.fixture
def jobs(service: Service) -> list[int]:
    """Three jobs, the second one with failures."""
    ids = [service.submit(*(URL.format(f"old{number}") for number in range(60)))]
    visits = (STORE, [URL.format("b0"), URL.format("b1")]), (OTHER_STORE, [URL.format("b2")])
    ids.append(service.post(body=submission(*visits))[1]["job_id"])
    ids.append(service.submit(URL.format("c0")))
    return ids


@pytest.mark.parametrize("limit", [1, 3, 4, 7, 64, 1000])
def test_pages_have_each_image_once_newest_job_first(service: Service, jobs: list[int], limit: int) -> None:
    pages = listed(service, limit=limit)
    assert names(pages) == ["c0", "b0", "b1", "b2", *(f"old{number}" for number in range(60))]
    assert all(len(page) == limit for page in pages[:-1])
    assert [image.job_id for page in pages for image in page][:5] == [str(jobs[number]) for number in (2, 1, 1, 1, 0)]


@pytest.mark.usefixtures("jobs")
def test_images_are_found_by_store_area_outcome_and_time(service: Service) -> None:
    area = {row.store_id: row.area_code for page in listed(service) for row in page}
    assert area[STORE] != area[OTHER_STORE]
    assert names(listed(service, store_id=OTHER_STORE)) == ["b2"]
    assert names(listed(service, area=area[OTHER_STORE])) == ["b2"]
    assert names(listed(service, area=area[OTHER_STORE], store_id=STORE)) == []
    assert names(listed(service, outcome="measured")) == []
    assert names(listed(service, outcome="pending", limit=2))[:2] == ["c0", "b0"]
    assert names(listed(service, to="2020-01-01")) == []
    assert len(names(listed(service, **{"from": "2020-01-01"}, to="9999-12-31"))) == 64


@pytest.mark.usefixtures("jobs")
def test_a_filter_that_matches_nothing_ends_after_pages_of_bounded_reads(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retail_pulse.use_cases.image_lists.MAX_PAGE_JOBS", 1)
    assert listed(service, store_id="S1") == [[], [], []]


@pytest.mark.parametrize("cursor", ["", "1", "1.0", "x.0.0", "1.0.0.0", "-1.0.0", "1.0.", "9" * 17 + ".0.0"])
def test_a_wrong_cursor_is_refused(service: Service, cursor: str) -> None:
    answer = get(service, "/api/images", f"cursor={cursor}")
    assert answer["statusCode"] == 400
    assert "cursor must be the next_cursor of an earlier response" in answer["body"]
