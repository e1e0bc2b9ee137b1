"""The simulated EC2 as a process of its own, and as a part of the stack."""

import json
import os
import signal
import subprocess
import sys
import time

import boto3
import pytest
import yaml
from botocore.config import Config
from local_stack.bucket import CREDENTIALS
from local_stack.ec2.machine import MACHINE_VARIABLE
from local_stack.ec2.machines import Timing
from local_stack.ec2.remote import simulated_ec2
from local_stack.ec2.simulation import SimulatedEc2
from local_stack.processes import marked
from local_stack.services import Services
from local_stack.settings_file import read_settings_file
from local_stack.stack import known_services, prepare_services
from local_stack.workplace import ROOT, write_json


def client(url, config_path):
    with open(config_path) as file:
        config = yaml.safe_load(file)
    options = {**CREDENTIALS, "region_name": config["region"], "config": Config(proxies={})}
    return config, boto3.client("ec2", endpoint_url=url, **options)


def launch(url, config_path):
    """Launch a machine by moto's own way, RunInstances."""
    config, ec2 = client(url, config_path)
    answer = ec2.run_instances(
        ImageId=config["image"],
        InstanceType="g6.xlarge",
        MinCount=1,
        MaxCount=1,
        SubnetId=next(iter(config["subnets"].values())),
        UserData="#!/bin/bash\ntrap '' TERM\nwhile :; do sleep 0.1; done\n",
    )
    return answer["Instances"][0]["InstanceId"]


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def test_another_process_speaks_to_it_and_nothing_stays(tmp_path):
    with simulated_ec2(tmp_path, settings={"heartbeat_seconds": 1}, timing={"shutdown_seconds": 0}) as ec2:
        path = ec2.environment["ADBREAK_CLOUD_CONFIG"]
        config, _ = client(ec2.url, path)
        assert (config["simulated"], config["heartbeat_seconds"]) == (True, 1)
        instance_id = launch(ec2.url, path)
        wait_for(lambda: ec2.machines() and ec2.machines()[0].get("console") and ec2.processes(instance_id))
        ec2.fault("throttle", times=2)
        assert ec2.faults()["waiting"][0]["times"] == 2
        ec2.no_faults()
        assert ec2.timing(visibility_seconds=3)["visibility_seconds"] == 3
        with pytest.raises(ValueError, match="unknown fault 'flood'"):
            ec2.fault("flood")
        with pytest.raises(ValueError, match="there is no machine"):
            ec2.notice("i-0123")
        ec2.notice(instance_id, seconds=0)
        wait_for(lambda: ec2.machines()[0]["state"] == "terminated")
        another = launch(ec2.url, path)
        wait_for(lambda: len(ec2.machines()) == 2 and marked(MACHINE_VARIABLE, another))
    assert marked(MACHINE_VARIABLE, another) == []


def test_disks_that_are_not_kept_go_with_their_machines(tmp_path):
    with SimulatedEc2(tmp_path, timing=Timing(0, 0, 0, 0), keep_disks=False) as ec2:
        instance_id = launch(ec2.url, ec2.config_path)
        folder = tmp_path / "machines" / instance_id
        wait_for(lambda: (folder / "opt").is_dir() and ec2.machines.processes(instance_id))
        ec2.machines.notice(instance_id)
        wait_for(lambda: ec2.machines.facts()[0]["state"] == "terminated")
        assert sorted(path.name for path in folder.iterdir()) == ["bin", "console.log", "user-data"]


def test_its_machines_go_with_it_when_it_is_killed(tmp_path):
    command = [sys.executable, "-m", "local_stack.ec2", "--folder", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT / "include") as process:
        facts = json.loads(process.stdout.readline())
        instance_id = launch(facts["url"], facts["environment"]["ADBREAK_CLOUD_CONFIG"])
        wait_for(lambda: marked(MACHINE_VARIABLE, instance_id))
        os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not marked(MACHINE_VARIABLE, instance_id))


def test_the_stack_leads_airflow_to_it_only_when_asked(place):
    settings = read_settings_file(ROOT / "airflow_settings.yaml")
    ports = {"s3": 1, "mlflow": 2, "airflow": 3, "device": 4, "docs": 5, "ec2": 6}
    local = Services(place, ports, settings).airflow_environment
    assert local["AIRFLOW_VAR_ADBREAK_COMPUTE"] == "local"
    assert "AWS_ENDPOINT_URL_EC2" not in local
    spot = Services(place, ports, settings, compute="ec2-spot").airflow_environment
    assert spot["AIRFLOW_VAR_ADBREAK_COMPUTE"] == "ec2-spot"
    assert spot["AIRFLOW_VAR_ADBREAK_CLOUD_CONFIG"] == str(place.state / "ec2" / "cloud.yaml")
    assert spot["AWS_ENDPOINT_URL_EC2"] == "http://127.0.0.1:6"
    assert spot["ADBREAK_AIRFLOW_URL"] == "http://127.0.0.1:3"


def test_another_terminal_knows_where_the_stack_trains(place):
    assert prepare_services(place, "ec2-spot").compute == "ec2-spot"
    assert known_services(place).compute == "ec2-spot"
    write_json(place.state / "compute.json", "local")
    assert known_services(place).cloud_environment == {}
