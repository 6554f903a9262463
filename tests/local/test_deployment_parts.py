"""What is deployed: the archives, and what is read from the template."""

import io
import re
import zipfile
from pathlib import Path

import pytest

from local.checkout import ROOT
from local.emulator.bundles import bundle, pack
from local.emulator.template import Authorizer, Route, Template, TemplateError


def names(content: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.namelist()


def test_a_layer_contains_the_package_and_the_store_master_that_it_links_to() -> None:
    content = bundle(ROOT / "layers" / "common", "python/").content

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.read("python/retail_pulse/storage/store_master.csv") == (ROOT / "store_master.csv").read_bytes()
        assert "python/retail_pulse/domain/jobs.py" in archive.namelist()
        assert not [name for name in archive.namelist() if "__pycache__" in name]


def test_a_layer_of_requirements_is_empty() -> None:
    assert names(bundle(ROOT / "layers" / "dependencies", "python/").content) == ["python/"]


def test_the_same_content_makes_the_same_archive(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder / "same").mkdir(parents=True)
        (tmp_path / folder / "same" / "app.py").write_text("handler = None\n", encoding="utf-8")

    first, second = (bundle(tmp_path / folder / "same") for folder in ("one", "two"))
    assert first == second

    (tmp_path / "two" / "same" / "app.py").write_text("handler = 1\n", encoding="utf-8")
    assert bundle(tmp_path / "two" / "same").key != first.key


def test_a_missing_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        bundle(tmp_path / "nowhere")


def test_routes_and_authorizers_are_those_of_the_template() -> None:
    template = Template(parameters={"AuthorizerCacheSeconds": "300"})

    assert template.authorizers() == [Authorizer("ApiKey", "AuthorizeFunction", ("$request.header.x-api-key",), 300)]
    assert set(template.routes()) >= {
        Route("POST /api/{proxy+}", "SubmitFunction", "ApiKey"),
        Route("GET /api/{proxy+}", "StatusFunction", "ApiKey"),
        Route("GET /api/health", "StatusFunction", None),
    }


def test_a_function_whose_condition_does_not_hold_has_no_routes() -> None:
    keys = {value: {route.key for route in Template(parameters={"Console": value}).routes()} for value in ("on", "off")}

    assert keys["on"] - keys["off"] == {"GET /", "GET /console/{proxy+}"}


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(TemplateError, match="no parameter Nonsense"):
        Template(parameters={"Nonsense": "1"})


def test_a_parameter_without_a_value_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text("Parameters: {Needed: {Type: String}}\nResources: {}\n", encoding="utf-8")

    with pytest.raises(TemplateError, match="Needed needs a value"):
        Template(path)


def test_a_template_of_two_apis_is_refused(tmp_path: Path) -> None:
    api = "{Type: 'AWS::Serverless::HttpApi', Properties: {}}"
    path = tmp_path / "template.yaml"
    path.write_text(f"Resources: {{One: {api}, Two: {api}}}\n", encoding="utf-8")

    with pytest.raises(TemplateError, match="has 2"):
        Template(path).http_api()


def test_a_function_that_a_condition_leaves_out_is_packed_too_since_the_transform_reads_its_uri() -> None:
    template = Template(parameters={"Console": "off"})

    pack(template, lambda bundle: {"Bucket": "b", "Key": bundle.key})

    uri = template.body["Resources"]["ConsoleFunction"]["Properties"]["CodeUri"]
    assert re.fullmatch(r"console-[0-9a-f]{64}\.zip", uri["Key"])
