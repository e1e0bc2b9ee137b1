import json
from pathlib import Path

import pytest
from local_stack.errors import InputError
from local_stack.settings_file import read_settings_file

ROOT = Path(__file__).resolve().parents[2]
ASTRO_TEMPLATE = """
airflow:
  connections:
    - conn_id:
      conn_type:
      conn_host:
      conn_extra:
        example_extra_field: example-value
  pools:
    - pool_name:
      pool_slot:
      pool_description:
  variables:
    - variable_name:
      variable_value:
"""
FILE = """
airflow:
  connections:
    - conn_id: store
      conn_type: aws
      conn_login: ""
      conn_port:
      conn_extra: {region_name: us-east-1, endpoint_url: http://example.test}
    - conn_id: web
      conn_type: http
      conn_host: web.test
      conn_port: 5000
      conn_extra: '{"a": 1}'
  pools:
    - {pool_name: gpu, pool_slot: 3, pool_description: few}
  variables:
    - {variable_name: bucket, variable_value: adbreak}
    - {variable_name: limits, variable_value: {a: 1}}
"""


def settings_of(tmp_path, text):
    path = tmp_path / "airflow_settings.yaml"
    path.write_text(text)
    return read_settings_file(path)


def test_a_file_becomes_environment_variables_of_airflow(tmp_path):
    settings = settings_of(tmp_path, FILE)
    environment = settings.environment({}, {})
    assert json.loads(environment["AIRFLOW_CONN_WEB"]) == {
        "conn_type": "http",
        "host": "web.test",
        "port": 5000,
        "extra": {"a": 1},
    }
    assert environment["AIRFLOW_VAR_BUCKET"] == "adbreak"
    assert json.loads(environment["AIRFLOW_VAR_LIMITS"]) == {"a": 1}
    assert settings.pools == [("gpu", 3, "few")]


def test_generated_values_override_field_by_field(tmp_path):
    overrides = {
        "store": {"login": "test", "extra": {"endpoint_url": "http://127.0.0.1:1"}},
        "new": {"conn_type": "ssh", "host": "h"},
    }
    environment = settings_of(tmp_path, FILE).environment(overrides, {"bucket": "other"})
    assert json.loads(environment["AIRFLOW_CONN_STORE"]) == {
        "conn_type": "aws",
        "login": "test",
        "extra": {"region_name": "us-east-1", "endpoint_url": "http://127.0.0.1:1"},
    }
    assert json.loads(environment["AIRFLOW_CONN_NEW"])["host"] == "h"
    assert environment["AIRFLOW_VAR_BUCKET"] == "other"


def test_the_empty_entries_of_astros_template_count_as_none(tmp_path):
    settings = settings_of(tmp_path, ASTRO_TEMPLATE)
    assert (settings.connections, settings.variables, settings.pools) == ({}, {}, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("airflow: [", "is not YAML"),
        ("pools: []", "expected the key 'airflow'"),
        ("airflow: {pools: {a: 1}}", "expected a list of mappings under airflow.pools"),
    ],
)
def test_other_forms_are_refused_plainly(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        settings_of(tmp_path, text)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"there is no .*airflow_settings\.yaml"):
        read_settings_file(tmp_path / "airflow_settings.yaml")


def test_the_projects_own_file_has_what_the_services_override():
    settings = read_settings_file(ROOT / "airflow_settings.yaml")
    assert {"aws_default", "mlflow_default", "device_pi_local"} <= set(settings.connections)
    assert {"gpu", "devices"} <= {name for name, _, _ in settings.pools}
    assert settings.connections["device_pi_local"]["conn_type"] == "ssh"
