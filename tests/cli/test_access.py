"""URL and key: from options, the environment and the file of `pulse login`; which one goes where."""

import stat
from pathlib import Path

import pytest

from pulse.config import Access, config_path, find_access, load, save, state_folder
from pulse.errors import PulseError
from tests.cli.conftest import KEY, Pulse
from tests.cli.service import FORBIDDEN, StandIn

SAVED = Access("https://saved.example.com", "saved")


class TestFinding:
    @pytest.mark.parametrize(
        ("url", "key", "saved", "expected"),
        [
            ("https://a.example.com/", "k", None, Access("https://a.example.com", "k")),
            (None, None, SAVED, SAVED),
            ("", "", SAVED, SAVED),
            (None, "k", SAVED, Access(SAVED.url, "k")),
            ("https://saved.example.com/", None, SAVED, SAVED),
        ],
    )
    def test_what_is_given_goes_before_what_is_saved(
        self, url: str | None, key: str | None, saved: Access | None, expected: Access
    ) -> None:
        assert find_access(url, key, saved) == expected

    def test_a_saved_key_is_never_sent_to_another_url(self) -> None:
        with pytest.raises(PulseError, match=r"No API key for https://other\.example\.com"):
            find_access("https://other.example.com", None, SAVED)

    @pytest.mark.parametrize(
        "url",
        ["example.com", "ftp://a", "http://", "http://u:p@a", "http://a?x", "http://a:0", "http://[", "http://a\nb"],
    )
    def test_an_invalid_url_is_refused(self, url: str) -> None:
        with pytest.raises(PulseError, match="URL of the service is not valid"):
            find_access(url, "k", None)

    @pytest.mark.parametrize("key", ["a b", "ключ", "a\nb", "\x00"])
    def test_an_invalid_key_is_refused_and_not_shown(self, key: str) -> None:
        with pytest.raises(PulseError) as raised:
            find_access("http://a", key, None)
        assert key not in raised.value.text

    def test_the_key_is_not_in_the_text_of_an_access(self) -> None:
        assert KEY not in repr(Access("http://a", KEY))

    def test_the_folders_are_those_of_xdg(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        assert config_path({}) == tmp_path / ".config/pulse/config.toml"
        assert config_path({"XDG_CONFIG_HOME": "relative"}) == tmp_path / ".config/pulse/config.toml"
        assert config_path({"XDG_CONFIG_HOME": "/c"}) == Path("/c/pulse/config.toml")
        assert state_folder({}) == tmp_path / ".local/state/pulse/submissions"


class TestTheFile:
    def test_it_is_read_back_and_only_its_user_can_read_it(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "config.toml"
        access = Access("https://a.example.com", "k\"\\#'x")
        save(path, access)
        assert load(path) == (access, "")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        path.chmod(0o644)
        save(path, access)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert list(path.parent.iterdir()) == [path]

    def test_a_file_that_others_can_read_is_a_warning(self, tmp_path: Path) -> None:
        path = tmp_path / "config.toml"
        save(path, SAVED)
        path.chmod(0o640)
        assert "chmod 600" in load(path)[1]

    @pytest.mark.parametrize("content", [b"", b"url = 1\nkey = 2", b"url = 'http://a'", b"key = secret", b"\xff"])
    def test_a_damaged_file_is_reported_without_its_content(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "config.toml"
        path.write_bytes(content)
        with pytest.raises(PulseError) as raised:
            load(path)
        assert "secret" not in raised.value.text + raised.value.hint

    def test_a_missing_file_is_no_error(self, tmp_path: Path) -> None:
        assert load(tmp_path / "config.toml") == (None, "")


class TestLogin:
    def test_a_key_that_works_is_saved_and_used(self, stranger: Pulse, service: StandIn) -> None:
        done = stranger.run("login", "--url", f"{service.url}/", "--key-stdin", stdin=f"{KEY}\n")
        assert (done.returncode, done.stdout) == (0, f"Logged in to {service.url} as client acme\n")
        path = stranger.folder / "config/pulse/config.toml"
        assert load(path) == (Access(service.url, KEY), "")
        assert stranger.run("jobs").returncode == 0

    def test_a_refused_key_is_not_saved(self, stranger: Pulse, service: StandIn) -> None:
        service.scripted = [FORBIDDEN]
        assert stranger.run("login", "--url", service.url, "--key-stdin", stdin=KEY).returncode == 3
        assert not (stranger.folder / "config").exists()

    def test_a_key_that_may_only_submit_is_saved(self, stranger: Pulse, service: StandIn) -> None:
        service.scripted = [(403, {"detail": "lacks the scope read", "code": "missing_scope"}, {})]
        assert stranger.run("login", "--url", service.url, "--key-stdin", stdin=KEY).returncode == 0

    @pytest.mark.parametrize("stdin", ["", "two words", "\n"])
    def test_what_is_not_a_key_is_refused(self, stranger: Pulse, service: StandIn, stdin: str) -> None:
        assert stranger.run("login", "--url", service.url, "--key-stdin", stdin=stdin).returncode == 2
        assert service.requests == []

    def test_without_a_terminal_it_says_how_to_give_the_key(self, stranger: Pulse, service: StandIn) -> None:
        done = stranger.run("login", "--url", service.url)
        assert done.returncode == 2
        assert "--key-stdin" in done.stderr

    def test_before_it_every_command_says_what_to_do(self, stranger: Pulse) -> None:
        done = stranger.run("jobs")
        assert done.returncode == 2
        assert "pulse login --url URL" in done.stderr
