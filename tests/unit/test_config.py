"""Configuration of `hashrange serve`: sources, precedence, and every mistake reported at once."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from hashrange.cli.show_config import as_toml
from hashrange.runtime.config import ServeConfig, parse_throttle_faults
from hashrange.runtime.expectations import expectation
from hashrange.runtime.settings import ConfigError, Loaded, load


def load_with(
    flags: dict[str, Any] | None = None, environ: dict[str, str] | None = None, file: Path | None = None
) -> Loaded:
    return load(flags or {}, environ or {}, file)


def problems_of(
    flags: dict[str, Any] | None = None, environ: dict[str, str] | None = None, file: Path | None = None
) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_with(flags, environ, file)
    return [str(problem) for problem in caught.value.problems]


def written(folder: Path, text: str) -> Path:
    path = folder / "hashrange.toml"
    path.write_text(text)
    return path


def test_defaults_are_those_of_the_documentation() -> None:
    config = load_with().config
    assert (config.host, config.port, config.region) == ("127.0.0.1", 8000, "us-east-1")
    assert (str(config.data_dir), config.in_memory, config.durability) == ("hashrange-data", False, "fsync")
    assert (config.throttling, config.capacity_multiplier, config.throttle_faults) == ("off", 1.0, ())
    assert config.secrets() == {}


def test_later_sources_win_and_are_remembered(tmp_path: Path) -> None:
    file = written(tmp_path, 'port = 1\nregion = "eu-west-1"\nlog_level = "debug"\n')
    loaded = load_with({"port": "3"}, {"HASHRANGE_PORT": "2", "HASHRANGE_REGION": "eu-west-2"}, file)
    config = loaded.config
    assert (config.port, config.region, config.log_level) == (3, "eu-west-2", "debug")
    assert loaded.sources["port"] == "--port"
    assert loaded.sources["region"] == "HASHRANGE_REGION"
    assert loaded.sources["log_level"] == f"{file}: log_level"
    assert loaded.sources["host"] == "default"


def test_a_variable_may_name_the_file_and_a_flag_wins_over_it(tmp_path: Path) -> None:
    file = written(tmp_path, "port = 4001\n")
    other = tmp_path / "other.toml"
    other.write_text("port = 4002\n")
    assert load_with(environ={"HASHRANGE_CONFIG": str(file)}).config.port == 4001
    assert load_with(environ={"HASHRANGE_CONFIG": str(file)}, file=other).config.port == 4002


def test_every_mistake_of_every_source_is_reported_at_once(tmp_path: Path) -> None:
    file = written(tmp_path, 'port = true\ndurabilty = "os"\nregion = 5\n')
    environ = {"HASHRANGE_PORT": "many", "HASHRANGE_LOG_FORMAT": "xml"}
    problems = problems_of({"port": "70000", "index_lag_ms": "-1", "console_port": "x"}, environ, file)
    assert problems == [
        f"{file}: durabilty: there is no such setting; did you mean durability?",
        f"{file}: port: must be a whole number from 0 to 65535, not True",
        f"{file}: region: must be an AWS region such as us-east-1 (lower-case letters, digits and hyphens), "
        "not 5",
        "HASHRANGE_PORT: must be a whole number from 0 to 65535, not 'many'",
        "HASHRANGE_LOG_FORMAT: must be text, json or auto, not 'xml'",
        "--console-port: must be a whole number from 0 to 65535, not 'x'",
        "--port: must be a whole number from 0 to 65535, not '70000'",
        "--index-lag-ms: must be a whole number from 0 to 3600000, not '-1'",
    ]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"throttling": "yes"}, "--throttling: must be off, on or provisioned-only, not 'yes'"),
        ({"capacity_multiplier": "0"}, "must be a number from 0.001 to 1000000.0, not '0'"),
        ({"throttle_faults": "orders"}, "must be a list of TABLE=SHARE with a share from 0 to 1"),
        ({"throttle_faults": "orders=1.5"}, "must be a list of TABLE=SHARE with a share from 0 to 1"),
        ({"throttle_faults": "orders=0.1,orders=0.2"}, "must be a list of TABLE=SHARE"),
        ({"console": True, "console_port": "8000"}, "--console-port: must differ from port"),
        ({"dax_port": "65200"}, "--dax-port: must be a whole number from 0 to 65135, not '65200'"),
        ({"function_endpoint": "localhost"}, "must be a URL such as http://10.0.1.5:8000"),
        ({"strict_region": "maybe"}, "must be true or false, not 'maybe'"),
        ({"idle_timeout_s": "0"}, "must be a number above 0 and at most 86400, not '0'"),
        ({"validation_wording": "2025"}, "must be 2026 or classic, not '2025'"),
    ],
)
def test_what_cannot_be_honoured_is_refused(flags: dict[str, Any], words: str) -> None:
    (problem,) = problems_of(flags)
    assert words in problem


def test_throttle_faults_name_tables_and_shares() -> None:
    config = load_with({"throttle_faults": "orders=0.2, *=.01"}).config
    assert parse_throttle_faults(config.throttle_faults) == {"orders": 0.2, "*": 0.01}


def test_memory_and_a_directory_exclude_each_other_in_one_source_only() -> None:
    (problem,) = problems_of({"in_memory": True, "data_dir": "/data"})
    assert problem.startswith("--in-memory: excludes --data-dir")
    assert load_with({"in_memory": True}, {"HASHRANGE_DATA_DIR": "/data"}).config.in_memory
    loaded = load_with({"data_dir": "/data"}, {"HASHRANGE_IN_MEMORY": "true"})
    assert not loaded.config.in_memory
    assert loaded.sources["in_memory"] == "--data-dir"


def test_a_data_directory_that_is_a_file_is_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_text("")
    (problem,) = problems_of({"data_dir": str(file)})
    assert "is a file" in problem


def test_unknown_variables_only_warn_and_those_of_kubernetes_are_ignored() -> None:
    loaded = load_with(environ={"HASHRANGE_PORT": "tcp://10.0.0.1:8000", "HASHRANGE_DURABILTY": "os"})
    assert loaded.config.port == 8000
    assert loaded.config.durability == "fsync"
    assert any("Kubernetes" in warning for warning in loaded.warnings)
    assert any("did you mean HASHRANGE_DURABILITY?" in warning for warning in loaded.warnings)


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "there is no file"), ("port = ", "this is not TOML")],
)
def test_an_unusable_file_is_one_mistake(tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "hashrange.toml"
    if content is not None:
        path.write_text(content)
    (problem,) = problems_of(file=path)
    assert words in problem


def test_texts_numbers_and_lists_of_all_sources_are_understood(tmp_path: Path) -> None:
    file = written(tmp_path, 'cors = ["http://a"]\nvalidation_wording = 2026\nstrict-region = true\n')
    config = load_with(environ={"HASHRANGE_ACCESS_LOG": "yes"}, file=file).config
    assert config.cors == ("http://a",)
    assert config.validation_wording == "2026"
    assert config.strict_region
    assert config.access_log
    assert load_with({"cors": "http://a, http://b"}).config.cors == ("http://a", "http://b")


def test_credentials_of_file_variable_and_shared_file(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(
        "[default]\naws_access_key_id = K1\naws_secret_access_key = S=1%/x\n[role]\nrole_arn = arn:x\n"
    )
    table = '[[credentials]]\naccess_key = "K2"\nsecret = "S2"\n'
    file = written(tmp_path, f'credentials_file = "{keys}"\n' + table)
    assert load_with(file=file).config.secrets() == {"K1": "S=1%/x", "K2": "S2"}
    by_variable = load_with(environ={"HASHRANGE_CREDENTIALS": "K3:a:b,K4:c"}, file=file)
    assert by_variable.config.secrets() == {"K1": "S=1%/x", "K3": "a:b", "K4": "c"}


def test_bad_credentials_name_the_place_but_never_the_secret(tmp_path: Path) -> None:
    file = written(tmp_path, '[[credentials]]\naccess_key = "K"\nsecert = "geheim"\n')
    problems = problems_of(file=file, environ={"HASHRANGE_CREDENTIALS": "K:geheim,geheim"})
    assert any(problem.startswith(f"{file}: credentials[1].secret") for problem in problems)
    assert any(problem.startswith("HASHRANGE_CREDENTIALS: entry 2") for problem in problems)
    assert "geheim" not in "".join(problems)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no file"),
        ("geheim", "is not in the format of ~/.aws/credentials"),
        ("[a]\naws_access_key_id = K\n", "profile [a] has no aws_secret_access_key"),
        ("[a]\nregion = x\n", "holds no access key"),
    ],
)
def test_bad_credentials_file(tmp_path: Path, content: str | None, words: str) -> None:
    keys = tmp_path / "keys"
    if content is not None:
        keys.write_text(content)
    (problem,) = problems_of({"credentials_file": str(keys)})
    assert problem.startswith("--credentials-file: ")
    assert words in problem
    assert "geheim" not in problem


def test_one_access_key_has_one_secret(tmp_path: Path) -> None:
    (problem,) = problems_of(environ={"HASHRANGE_CREDENTIALS": "K:a,K:b"})
    assert "K has two different secrets" in problem
    assert load_with(environ={"HASHRANGE_CREDENTIALS": "K:a,K:a"}).config.secrets() == {"K": "a"}


def test_secrets_do_not_print() -> None:
    loaded = load_with(environ={"HASHRANGE_CREDENTIALS": "KEY:geheim"})
    assert "geheim" not in repr(loaded)
    assert "geheim" not in as_toml(loaded)
    assert "KEY" in as_toml(loaded)


def test_the_printed_configuration_is_a_file_that_gives_the_same_configuration(tmp_path: Path) -> None:
    flags = {"port": "8123", "data_dir": str(tmp_path / 'we"ird\\dir'), "cors": "http://a,http://b"}
    loaded = load_with(flags, {"HASHRANGE_IDLE_TIMEOUT_S": "7"})
    text = as_toml(loaded)
    assert "# --port" in text
    assert "# HASHRANGE_IDLE_TIMEOUT_S" in text
    assert tomllib.loads(text)["port"] == 8123
    assert load_with(file=written(tmp_path, text)).config == loaded.config


def test_the_printed_configuration_of_a_server_in_memory_can_be_read_back(tmp_path: Path) -> None:
    loaded = load_with({"in_memory": True})
    assert load_with(file=written(tmp_path, as_toml(loaded))).config == loaded.config


@pytest.mark.parametrize("name", list(ServeConfig.model_fields))
def test_every_setting_has_a_description_and_says_what_it_accepts(name: str) -> None:
    assert ServeConfig.model_fields[name].description
    assert expectation(name)


def test_the_configuration_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_with().config.port = 1


def test_peers_are_a_list_or_a_text_and_credentials_of_peers_stay_secret(tmp_path: Path) -> None:
    url = "http://10.1.0.5:8000"
    loaded = load_with({"peers": f"eu-west-1={url}|https://[::1]:1/, ap-northeast-1=http://h"})
    assert loaded.config.peers == (f"eu-west-1={url}|https://[::1]:1", "ap-northeast-1=http://h")
    file = written(tmp_path, f'peers = ["eu-west-1={url}"]\npeer_credentials = "K:geheim"\n')
    loaded = load_with(file=file)
    assert loaded.config.peers == (f"eu-west-1={url}",)
    assert loaded.config.peer_credentials is not None
    assert loaded.config.peer_credentials.secret.get_secret_value() == "geheim"
    assert "geheim" not in as_toml(loaded) + repr(loaded)
    assert 'access_key = "K"' in as_toml(loaded)


@pytest.mark.parametrize(
    ("peers", "words"),
    [
        ("eu-west-1", "must be a list of REGION=URL"),
        ("eu-west-1=10.1.0.5:8000", "must be a list of REGION=URL"),
        ("eu-west-1=http://h:0", "must be a list of REGION=URL"),
        ("eu-west-1=http://h/path", "must be a list of REGION=URL"),
        ("eu-west-1=http://h,eu-west-1=http://i", "must be a list of REGION=URL"),
        ("us-east-1=http://h:1", "us-east-1 is this region itself"),
        ("r-20=http://h:1,r-412=http://h:2", "r-20 and r-412 have the same number"),
    ],
)
def test_peers_that_cannot_be(peers: str, words: str) -> None:
    (problem,) = problems_of({"peers": peers})
    assert problem.startswith(f"--peers: {words}")


def test_bad_credentials_of_peers_are_not_repeated() -> None:
    assert problems_of(environ={"HASHRANGE_PEER_CREDENTIALS": "geheim"}) == [
        "HASHRANGE_PEER_CREDENTIALS: must be ACCESS_KEY:SECRET, one pair"
    ]
