"""`pulse submit` from the outside: what is sent, what is not sent twice, what is shown, and the exit codes."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from pulse.client import Client
from pulse.parts import split
from pulse.records import Record
from pulse.sending import Sender, SentJob
from pulse.visits import Visit, VisitsFile
from tests.cli.conftest import Pulse
from tests.cli.service import FORBIDDEN, Answer, StandIn

GOOD = "S1,2026-11-23,http://h/a.jpg"
BUG: Answer = (500, {"error": "internal server error", "code": "internal_error"}, {})


def posts(service: StandIn) -> int:
    return service.requests.count("POST /api/submit")


class TestTheCommand:
    def test_a_good_file_becomes_a_job_that_names_the_file(self, pulse: Pulse, service: StandIn) -> None:
        done = pulse.run("submit", pulse.write("week 48.csv", GOOD, "S1,2026-11-23,http://h/b.jpg"))
        assert (done.returncode, done.stdout) == (0, "Job 1000 submitted: 1 visit, 2 images\n")
        assert "Next: pulse status 1000 --wait" in done.stderr
        (job,) = service.jobs
        assert job.body["count"] == 1
        assert job.body["metadata"] == {"file": "week 48.csv", "submission": job.key}

    def test_problems_are_reported_by_row_before_anything_is_sent(self, pulse: Pulse, service: StandIn) -> None:
        done = pulse.run("submit", pulse.write("bad.csv", GOOD, "S1,2026-11-23,www.example.com", ",x,http://h/"))
        assert (done.returncode, done.stdout, service.requests) == (2, "", [])
        assert re.search(r"^ +3 +image_url +is not a web address", done.stderr, re.MULTILINE)
        assert re.search(r"^ +4 +store_id +is missing +fill in", done.stderr, re.MULTILINE)
        assert "Nothing was submitted: the file has 2 problems." in done.stderr
        assert "--skip-bad submits only the other 1 image" in done.stderr

    def test_dates_as_a_spreadsheet_writes_them_are_one_warning(self, pulse: Pulse) -> None:
        rows = [f"S1,{day}/11/2026,http://h/{day}.jpg" for day in range(1, 13)]
        done = pulse.run("submit", pulse.write("a.csv", *rows))
        assert done.stderr.count("Warning") == 1
        assert (
            'visit_time is not a date: "1/11/2026" and the like, in rows 2, 3, 4, 5, 6, 7, 8, 9 and 4 more;'
            in done.stderr
        )

    def test_skip_bad_sends_the_other_rows(self, pulse: Pulse, service: StandIn) -> None:
        done = pulse.run("submit", "--skip-bad", pulse.write("bad.csv", GOOD, "S1,2026-11-23,www.example.com"))
        assert done.returncode == 0
        assert service.jobs[0].images == 1

    def test_a_file_without_a_good_row_is_never_sent(self, pulse: Pulse, service: StandIn) -> None:
        assert pulse.run("submit", "--skip-bad", pulse.write("bad.csv", "a,b,c")).returncode == 2
        assert service.requests == []

    def test_a_repeat_submits_nothing_twice_and_again_submits_once_more(self, pulse: Pulse, service: StandIn) -> None:
        name = pulse.write("a.csv", GOOD)
        outputs = [pulse.run("submit", name, *options).stdout for options in ([], [], ["--again"], [])]
        assert [output.partition(":")[0] for output in outputs] == [
            "Job 1000 submitted",
            "Job 1000 was submitted already",
            "Job 1001 submitted",
            "Job 1001 was submitted already",
        ]
        assert len({job.key for job in service.jobs}) == 2

    def test_120_000_images_are_three_jobs_also_when_a_run_ends_in_between(
        self, pulse: Pulse, service: StandIn
    ) -> None:
        rows = [f"S{number // 10},2026-11-23,http://h/{number}.jpg" for number in range(120_000)]
        name = pulse.write("large.csv", *rows)
        service.fail_after = 2
        first = pulse.run("submit", name)
        service.fail_after = None

        second = pulse.run("submit", name)

        assert (first.returncode, second.returncode) == (3, 0)
        assert "Job 1001 submitted: part 2 of 3, 5,000 visits, 50,000 images" in first.stdout
        assert "Job 1001 was submitted already: part 2 of 3" in second.stdout
        assert "Next: the same command with --wait" in second.stderr
        assert "Job 1002 submitted: part 3 of 3, 2,000 visits, 20,000 images" in second.stdout
        assert [job.images for job in service.jobs] == [50_000, 50_000, 20_000]
        assert len({job.key for job in service.jobs}) == 3

    def test_wait_ends_with_1_when_images_failed_and_says_what_to_do(self, pulse: Pulse, service: StandIn) -> None:
        name = pulse.write("a.csv", GOOD, "S2,2026-11-23,http://h/b.jpg")
        service.fail_next = 1
        done = pulse.run("submit", name, "--wait")
        assert done.returncode == 1
        assert "Job 1000 failed: 1 measured, 1 failed" in done.stdout
        assert re.search(r"^http_status +1 +1 +open the address", done.stdout, re.MULTILINE)
        assert "pulse fix 1000 -o" in done.stderr
        # Also when the job has ended before this run.
        assert pulse.run("submit", name, "--wait").returncode == 1

    def test_wait_ends_with_0_when_all_images_are_measured(self, pulse: Pulse) -> None:
        done = pulse.run("submit", pulse.write("a.csv", GOOD), "--wait")
        assert done.returncode == 0
        # Without a terminal, the progress is lines.
        assert re.search(r"^\d\d:\d\d:\d\d  1 of 1 images, 100 %, 0 failed$", done.stderr, re.MULTILINE)

    def test_standard_input_is_a_file_too(self, pulse: Pulse, service: StandIn) -> None:
        body = {"count": 1, "visits": [{"store_id": "S1", "visit_time": "x", "image_url": ["http://h/"]}]}
        assert pulse.run("submit", "-", stdin=json.dumps(body)).returncode == 0
        assert service.jobs[0].body["visits"] == body["visits"]

    @pytest.mark.parametrize(
        ("rows", "options", "code", "keys"),
        [
            ([GOOD], [], 0, {"jobs": 1, "problems": 0}),
            ([GOOD], ["--wait"], 0, {"jobs": 1, "problems": 0}),
            ([GOOD, "x"], [], 2, {"jobs": 0, "problems": 2, "warnings": 0}),
            ([GOOD, "x"], ["--skip-bad"], 0, {"jobs": 1, "problems": 2}),
        ],
    )
    def test_json_is_one_document_on_standard_output(
        self, pulse: Pulse, rows: list[str], options: list[str], code: int, keys: dict[str, int]
    ) -> None:
        done = pulse.run("submit", pulse.write("a.csv", *rows), "--json", *options)
        document = json.loads(done.stdout)
        assert done.returncode == code
        assert {key: len(document[key]) for key in keys} == keys
        assert ("error" in document) is (code == 2)

    def test_json_names_what_was_submitted_before_the_service_failed(self, pulse: Pulse, service: StandIn) -> None:
        service.scripted = [BUG]
        done = pulse.run("submit", pulse.write("a.csv", GOOD), "--json")
        document = json.loads(done.stdout)
        assert (done.returncode, document["jobs"]) == (3, [])
        assert document["error"] == "The service refused: internal server error (500 internal_error)."

    def test_a_refused_key_is_named_without_the_key(self, pulse: Pulse, service: StandIn) -> None:
        service.scripted = [FORBIDDEN]
        done = pulse.run("submit", pulse.write("a.csv", GOOD))
        assert done.returncode == 3
        assert "refused the API key" in done.stderr

    def test_each_key_and_each_url_has_a_record_of_its_own(self, pulse: Pulse, service: StandIn) -> None:
        name = pulse.write("a.csv", GOOD)
        acme: list[str] = []
        globex, elsewhere = ["--key", "key-of-globex"], ["--url", f"http://localhost:{service.port}"]
        for options in (acme, globex, elsewhere):
            # Each has a job of its own: none is known to the others, or still under its Idempotency-Key.
            service.claims.clear()
            assert pulse.run("submit", name, *options).returncode == 0
        ids = [pulse.run("submit", name, *options).stdout.split()[1] for options in (acme, globex, elsewhere)]
        assert ids == ["1000", "1001", "1002"]
        assert len(service.jobs) == 3
        folder = pulse.folder / "state/pulse/submissions"
        assert not any("globex" in path.name + path.read_text(encoding="utf-8") for path in folder.iterdir())

    @pytest.mark.parametrize("arguments", [["submit"], ["submit", "missing.csv"], ["submit", "."], ["nonsense"]])
    def test_wrong_usage_ends_with_2(self, pulse: Pulse, arguments: list[str]) -> None:
        assert pulse.run(*arguments).returncode == 2

    def test_a_state_folder_that_cannot_be_written_is_a_warning(self, pulse: Pulse) -> None:
        (pulse.folder / "state").write_text("")
        done = pulse.run("submit", pulse.write("a.csv", GOOD))
        assert done.returncode == 0
        assert "repeat this command only within a day" in done.stderr


class TestSendingOnce:
    """A file of three parts, and runs that end early."""

    FOUND = VisitsFile([Visit(f"S{number}", "2026-11-23", ["http://h/"]) for number in range(3)])

    @pytest.fixture(autouse=True)
    def _one_visit_a_part(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, service: StandIn) -> None:
        def parts(visits: Any, **arguments: Any) -> Any:
            return split(visits, max_images=1, **arguments)

        monkeypatch.setattr("pulse.sending.split", parts)
        self.folder, self.service = tmp_path / "records", service

    def record(self, *, again: bool = False, name: str = "a.csv") -> Record:
        return Record.load(self.folder, "digest of URL and key", b"content", name, again=again)

    def send(self, record: Record | None = None, parts: int = 3) -> list[SentJob]:
        sent = []
        with Client(self.service.url, "key") as client:
            for job in Sender(client, record or self.record()).send(self.FOUND):
                sent.append(job)
                if len(sent) == parts:
                    break
        return sent

    def test_a_run_that_ends_early_is_continued(self) -> None:
        first = self.send(parts=2)
        second = self.send()
        assert [job.is_new for job in first + second] == [True, True, False, False, True]
        assert [job.job_id for job in second] == ["1000", "1001", "1002"]
        assert [job.body["metadata"]["part"] for job in self.service.jobs] == ["1 of 3", "2 of 3", "3 of 3"]

    def test_without_its_record_the_service_remembers(self) -> None:
        first = self.send()
        for path in self.folder.iterdir():
            path.unlink()
        assert [(job.job_id, job.is_new) for job in self.send()] == [(job.job_id, False) for job in first]

    def test_a_record_that_is_damaged_counts_as_none(self) -> None:
        first = self.send()
        for path in self.folder.iterdir():
            path.write_text('{"parts": 7}')
        assert [job.job_id for job in self.send()] == [job.job_id for job in first]

    def test_after_more_than_a_day_the_record_is_enough(self) -> None:
        first = self.send()
        self.service.claims.clear()
        assert [(job.job_id, job.is_new) for job in self.send()] == [(job.job_id, False) for job in first]
        assert len(self.service.jobs) == 3

    @pytest.mark.parametrize("was_accepted", [True, False])
    def test_a_run_killed_before_its_response_more_than_a_day_ago_is_looked_up(self, was_accepted: bool) -> None:
        record = self.record()
        record.sending(1, now=lambda: time.time() - 25 * 3600)
        if was_accepted:
            with Client(self.service.url, "key") as client:
                part = split(self.FOUND.visits, max_images=1)[0]
                client.submit_body(part.body({"submission": record.key(1)}), record.key(1))
        self.service.claims.clear()

        sent = self.send()

        assert sent[0].is_new is not was_accepted
        assert len(self.service.jobs) == 3

    def test_a_job_that_the_service_no_longer_has_is_submitted(self) -> None:
        self.send()
        self.service.jobs.clear()
        self.service.claims.clear()
        assert [job.is_new for job in self.send()] == [True, True, True]

    def test_the_same_content_under_another_name_is_the_same_submission(self) -> None:
        first = self.send()
        assert [job.job_id for job in self.send(self.record(name="b.csv"))] == [job.job_id for job in first]

    def test_on_another_machine_and_under_another_name_it_is_found_by_its_key(self, tmp_path: Path) -> None:
        first = self.send()
        self.folder = tmp_path / "another machine"
        assert [job.job_id for job in self.send(self.record(name="b.csv"))] == [job.job_id for job in first]
        assert len(self.service.jobs) == 3

    def test_the_parts_do_not_depend_on_the_name(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        # One run may have submitted the first parts under one name, and another the others under another one.
        monkeypatch.setattr("pulse.sending.split", lambda visits, **rest: split(visits, max_bytes=2_000, **rest))
        found = VisitsFile([Visit(f"S{number}", "2026-11-23", ["http://h/"]) for number in range(200)])
        bodies: list[list[object]] = []
        for name in ("a", "a" * 100, '"' * 100, "\x01" * 200):
            self.service.claims.clear()
            self.service.jobs.clear()
            self.folder = tmp_path / str(len(bodies))
            with Client(self.service.url, "key") as client:
                list(Sender(client, self.record(name=name)).send(found))
            assert max(len(json.dumps(job.body)) for job in self.service.jobs) < 3_000
            bodies.append([job.body["visits"] for job in self.service.jobs])
        assert len(bodies[0]) > 10
        assert all(each == bodies[0] for each in bodies)

    def test_a_key_that_may_not_read_relies_on_the_record(self) -> None:
        self.send()
        self.service.scripted = [(403, {"detail": "API key lacks the scope read", "code": "missing_scope"}, {})] * 3
        assert [job.is_new for job in self.send()] == [False, False, False]
        assert posts(self.service) == 3

    def test_again_that_was_killed_is_continued_without_again(self) -> None:
        self.send()
        self.send(self.record(again=True), parts=1)
        assert [job.is_new for job in self.send()] == [False, True, True]
        assert len(self.service.jobs) == 6

    def test_only_its_user_can_read_a_record(self) -> None:
        self.send()
        (path,) = self.folder.iterdir()
        assert path.stat().st_mode & 0o777 == 0o600
        assert self.folder.stat().st_mode & 0o777 == 0o700
