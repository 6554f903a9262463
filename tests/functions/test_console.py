"""The console's function: its files, their headers, and nothing else."""

import base64
import gzip
import json
import re
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from local.checkout import ROOT
from local.lambda_host.context import Context
from local.lambda_host.load import load
from retail_pulse.api.request_errors import RequestCode
from retail_pulse.domain.failures import FailureCode
from tools import vendor

STATIC = ROOT / "functions" / "console" / "static"
MAX_BYTES = 150_000
BROWSER = {"accept-encoding": "gzip, deflate, br"}


@pytest.fixture(scope="module")
def console() -> ModuleType:
    return load("console")


def get(console: ModuleType, path: str, **headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer: dict[str, Any] = console.handler({"rawPath": path, "headers": BROWSER | named}, Context())
    json.dumps(answer)
    return answer


def content(answer: dict[str, Any]) -> bytes:
    body = base64.b64decode(answer["body"])
    return gzip.decompress(body) if answer["headers"].get("Content-Encoding") == "gzip" else body


def path_of(console: ModuleType, name: str) -> str:
    (found,) = [path for path in console.FILES if path.endswith(f"/{name}")]
    return str(found)


class TestTheIndex:
    def test_is_at_the_root_and_checked_each_time(self, console: ModuleType) -> None:
        answer = get(console, "/")
        assert answer["statusCode"] == 200
        assert answer["headers"]["Content-Type"] == "text/html; charset=utf-8"
        assert answer["headers"]["Cache-Control"] == "no-cache"

    def test_names_files_that_are_served(self, console: ModuleType) -> None:
        named = re.findall(r'(?:src|href)="(/console/[^"]+)"', content(get(console, "/")).decode())
        assert len(named) == 4
        assert set(named) <= console.FILES.keys()

    def test_has_no_script_or_style_of_its_own(self, console: ModuleType) -> None:
        page = content(get(console, "/")).decode()
        assert not re.search(r"<style|<script>|\son\w+=|\sstyle=|javascript:", page)


class TestEveryFile:
    def test_of_the_folder_is_served_with_its_content(self, console: ModuleType) -> None:
        files = {path for path in STATIC.rglob("*") if path.is_file()}
        unserved = {"index.html", "manifest.json"}
        for path in files:
            if path.name not in unserved:
                answer = get(console, path_of(console, path.relative_to(STATIC).as_posix()))
                assert content(answer) == path.read_bytes(), path
        assert len(console.FILES) == len(files) - 1

    def test_is_kept_for_good_since_its_address_has_the_version(self, console: ModuleType) -> None:
        for path in console.FILES.keys() - {"/"}:
            assert re.match(r"/console/[0-9a-f]{16}/", path)
            assert get(console, path)["headers"]["Cache-Control"] == "public, max-age=31536000, immutable"

    def test_has_the_headers_that_protect_the_page(self, console: ModuleType) -> None:
        for path in [*console.FILES, "/console/nothing"]:
            headers = get(console, path)["headers"]
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "no-referrer"
            policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
            assert policy == {
                "default-src": "'none'",
                "script-src": "'self'",
                "style-src": "'self'",
                "connect-src": "'self'",
                "img-src": "'self' https: http:",
                "base-uri": "'none'",
                "form-action": "'none'",
                "frame-ancestors": "'none'",
            }

    def test_has_a_module_for_each_import(self, console: ModuleType) -> None:
        for path in STATIC.rglob("*.js"):
            for named in re.findall(r"""(?:from|import\(|URL\()\s*["'](\.[^"']+)["']""", path.read_text("utf-8")):
                target = (path.parent / named).resolve().relative_to(STATIC).as_posix()
                assert path_of(console, target), (path, named)

    def test_loads_nothing_from_another_host(self) -> None:
        for path in STATIC.glob("**/*"):
            if path.suffix in {".js", ".css", ".html"} and path.parent.name != "vendor":
                text = path.read_text("utf-8")
                assert not re.search(r"""(?:import\(?|from|src=|href=|url\(|fetch\()\s*["']https?:""", text), path


class TestCaching:
    def test_an_etag_that_the_browser_has_gets_304_without_a_body(self, console: ModuleType) -> None:
        for path in ("/", path_of(console, "app.js")):
            tag = get(console, path)["headers"]["ETag"]
            assert re.fullmatch(r'"[0-9a-f]{32}-gzip"', tag)
            for sent in (tag, f'"other", W/{tag}', "*"):
                answer = get(console, path, if_none_match=sent)
                assert (answer["statusCode"], answer["body"]) == (304, "")
                assert answer["headers"]["ETag"] == tag
            assert get(console, path, if_none_match='"other"')["statusCode"] == 200

    def test_each_encoding_has_its_own_etag(self, console: ModuleType) -> None:
        plain = get(console, "/", accept_encoding="identity")
        assert "Content-Encoding" not in plain["headers"]
        assert content(plain) == content(get(console, "/"))
        assert plain["headers"]["ETag"] != get(console, "/")["headers"]["ETag"]
        assert plain["headers"]["Vary"] == "Accept-Encoding"

    def test_every_environment_makes_the_same_bytes(self, console: ModuleType) -> None:
        other = load("console")
        for path in console.FILES:
            assert get(console, path) == get(other, path)


class TestOtherPaths:
    @pytest.mark.parametrize(
        "path",
        [
            "/console/", "/console/app.js", "/console/0123456789abcdef/app.js", "/console/../app.py",
            "/console/%2e%2e/app.py", "/console/..%2fapp.py", "/index.html", "//", "", "/console/\x00",
            "/console/\ud800",
        ],
    )  # fmt: skip
    def test_get_404_which_nothing_keeps(self, console: ModuleType, path: str) -> None:
        answer = get(console, path)
        assert (answer["statusCode"], answer["body"]) == (404, "no such file\n")
        assert answer["headers"]["Cache-Control"] == "no-store"

    @pytest.mark.parametrize("name", ["../app.py", "vendor/manifest.json", "./app.js", "index.html", "APP.JS"])
    def test_within_the_version_are_not_served_either(self, console: ModuleType, name: str) -> None:
        prefix = path_of(console, "app.js").removesuffix("app.js")
        assert get(console, prefix + name)["statusCode"] == 404


def test_all_files_together_fit_into_the_budget(console: ModuleType) -> None:
    sizes = {path: len(base64.b64decode(get(console, path)["body"])) for path in console.FILES}
    assert sum(sizes.values()) < MAX_BYTES, sizes


class TestVendoredFiles:
    MANIFEST = json.loads((vendor.VENDOR / vendor.MANIFEST).read_text("utf-8"))
    LOCK = json.loads((vendor.NODE / "package-lock.json").read_text("utf-8"))

    def test_are_those_of_the_manifest(self) -> None:
        found = {
            path.name: sha256(path.read_bytes()).hexdigest()
            for path in vendor.VENDOR.iterdir()
            if path.name != vendor.MANIFEST
        }
        assert found == {name: file["sha256"] for name, file in self.MANIFEST["files"].items()}

    def test_are_of_the_locked_packages(self) -> None:
        assert sorted(self.MANIFEST["packages"]) == vendor.PACKAGES
        for package, about in self.MANIFEST["packages"].items():
            locked = self.LOCK["packages"][f"node_modules/{package}"]
            assert about == {name: locked[name] for name in ("version", "license", "integrity")}

    def test_come_with_the_licence_of_each_package(self) -> None:
        text = (vendor.VENDOR / vendor.LICENSES).read_text("utf-8")
        for package, about in self.MANIFEST["packages"].items():
            assert f"{package} {about['version']} ({about['license']})" in text
        assert text.count("Copyright") >= len(vendor.PACKAGES)


class TestWords:
    def codes(self, name: str) -> set[str]:
        (block,) = re.findall(
            rf"export const {name} = {{\n(.*?)^}};", (STATIC / "words.js").read_text("utf-8"), re.S | re.M
        )
        return set(re.findall(r"^  (\w+):", block, re.M))

    def test_every_failure_has_a_sentence_and_says_what_to_do(self) -> None:
        assert self.codes("REASONS") == {code.value for code in FailureCode}
        text = (STATIC / "words.js").read_text("utf-8")
        assert text.count("    what:") == text.count("    todo:") == len(FailureCode)

    def test_every_refusal_has_a_sentence(self) -> None:
        assert self.codes("REFUSALS") == {code.value for code in RequestCode}


def test_colours_and_sizes_are_tokens() -> None:
    rules = (STATIC / "console.css").read_text("utf-8")
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b", rules) == []
    assert set(re.findall(r"var\((--[\w-]+)", rules)) <= set(
        re.findall(r"^\s*(--[\w-]+):", (STATIC / "tokens.css").read_text("utf-8"), re.M)
    )


def test_no_part_of_a_page_is_set_as_html() -> None:
    sources = [path for path in STATIC.rglob("*.js") if path.parent.name != "vendor"]
    assert sources
    unsafe = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|localStorage|document\.cookie"
    )
    assert [path.name for path in sources if re.search(unsafe, path.read_text("utf-8"))] == []


def test_modules_stay_small() -> None:
    lines = {path.name: len(Path(path).read_text("utf-8").splitlines()) for path in STATIC.rglob("*.js")}
    assert [name for name, amount in lines.items() if amount > 300 and name not in vendor.FILES] == []
