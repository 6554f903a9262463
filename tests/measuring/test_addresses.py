"""Which servers may be called: every case with the real fetcher, in a simulated network."""

import ipaddress
from typing import get_type_hints

import pytest

from local.emulator.template import Template
from retail_pulse.domain.errors import SettingsError
from retail_pulse.domain.failures import FailureCode
from retail_pulse.domain.hosts import Hosts
from retail_pulse.measuring.download.policy import CallPolicy
from retail_pulse.measuring.fetch import Fetcher
from retail_pulse.runtime.settings import ProcessSettings
from tests.measuring import address_table
from tests.measuring.address_table import REFUSALS, STRICTER, all_tried, try_case
from tests.measuring.cases import Case, recorded
from tests.measuring.hostile_server import PATIENT


def test_no_address_that_must_be_refused_is_reached() -> None:
    assert [tried for tried in all_tried() if tried.let_through] == []


def test_no_address_that_must_work_is_refused() -> None:
    assert [tried for tried in all_tried() if tried.refused_wrongly] == []


def test_a_refusal_has_one_of_three_codes() -> None:
    codes = {code for tried in all_tried() for code in tried.codes}
    assert codes == REFUSALS | {None}


def test_all_recorded_cases_are_tried_and_only_the_stricter_rules_change_them() -> None:
    cases = {case.name for case in recorded()}
    assert len(cases) == 319
    assert cases >= STRICTER
    assert cases < {tried.case.name for tried in all_tried()}


def test_the_table_in_the_document_is_the_one_of_this_run() -> None:
    text = address_table.DOCUMENT.read_text(encoding="utf-8")
    assert text == address_table.documented(text), "run `make addresses`"


def test_the_simulation_records_what_a_fetcher_without_the_rule_would_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    everywhere = CallPolicy([ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")], [range(65536)])
    fetcher = Fetcher(PATIENT, everywhere, Hosts(100))
    monkeypatch.setattr(address_table, "_fetcher", lambda policy: fetcher)
    for group in ("v4-special", "v6-special", "name-private", "redirect", "name-rebind"):
        assert any(try_case(case).let_through for case in recorded() if case.group == group), group


@pytest.mark.parametrize(
    ("url", "policy", "code", "message"),
    [
        ("http://ok.test:8080/", "strict", "blocked_address", "port 8080 of ok.test is not among the allowed ports"),
        ("http://ok.test/", "hosts", "blocked_address", "ok.test is not among the allowed hosts"),
        ("http://evil.test/", "strict", "blocked_address", "evil.test resolves to an address that is not public"),
        ("http://10.0.0.1/", "strict", "blocked_address", "10.0.0.1 is not a public address"),
        ("http://[::1]/", "strict", "blocked_address", "::1 is not a public address"),
        ("http://a..test/", "strict", "invalid_url", "invalid host name: 'a..test'"),
        ("http://[::1%25x%25y]/", "strict", "invalid_url", "invalid URL"),
        ("http://me:secret@ok.test/", "strict", "invalid_url", "the URL contains a user name or password"),
        ("ftp://ok.test/", "strict", "invalid_url", "the URL does not start with http:// or https://"),
        ("http://ok.test/" + "a" * 2034, "strict", "invalid_url", "the URL is longer than 2,048 bytes"),
    ],
)
def test_a_refusal_names_the_rule(url: str, policy: str, code: str, message: str) -> None:
    tried = try_case(Case("", "", url, policy=policy))
    assert (tried.codes, tried.messages, tried.connected) == ([FailureCode(code)], [message], [])


def test_a_refused_host_is_not_resolved() -> None:
    names: dict[str, list[list[str]]] = {"ok.test": [[]]}
    tried = try_case(Case("", "", "http://ok.test/", resolver=names, policy="hosts"))
    assert tried.codes == [FailureCode.BLOCKED_ADDRESS]


class TestTheParameters:
    def settings(self, ports: str, hosts: str) -> ProcessSettings:
        fields = get_type_hints(ProcessSettings)
        environment = {name.upper(): "1" for name in fields} | {"ALLOWED_NETWORKS": ""}
        return ProcessSettings.from_environment(environment | {"ALLOWED_PORTS": ports, "ALLOWED_HOSTS": hosts})

    def test_ports_are_single_or_ranges(self) -> None:
        read = self.settings("80, 443,8000-8001", "").allowed_ports
        assert [port for ports in read for port in ports] == [80, 443, 8000, 8001]

    @pytest.mark.parametrize("ports", ["http", "80-", "-80", "90-80", "80;443"])
    def test_an_invalid_port_fails_the_cold_start_by_name(self, ports: str) -> None:
        with pytest.raises(SettingsError, match="ALLOWED_PORTS"):
            self.settings(ports, "")

    def test_hosts_are_a_list(self) -> None:
        read = self.settings("80", "img.example.com, *.cdn.example.com")
        assert read.allowed_hosts == ("img.example.com", "*.cdn.example.com")

    def test_the_defaults_of_the_template_are_those_of_the_policy(self) -> None:
        parameters = Template().parameters
        read = self.settings(parameters["AllowedPorts"], parameters["AllowedHosts"])
        assert (read.allowed_ports, read.allowed_hosts) == (CallPolicy().ports, CallPolicy().hosts)
