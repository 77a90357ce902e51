"""One `ssm-lab serve` as a child process, and the ways to reach it. Ends no process but its own."""

import configparser
import contextlib
import datetime
import http.client
import json
import os
import subprocess
import time
from urllib.parse import urlsplit

import boto3
import botocore.auth
from botocore.config import Config

START_LIMIT_SECONDS = 30
STOP_LIMIT_SECONDS = 20


def _sign_for_the_clock_of_the_lab():
    """boto3 signs with the time of the machine; a lab whose clock was moved wants its own."""
    real = botocore.auth.get_current_datetime

    def moved(*arguments, **options):
        return real(*arguments, **options) + datetime.timedelta(seconds=Lab.newest.skew)

    botocore.auth.get_current_datetime = moved


class Lab:
    # The lab that boto3 signs for; the modules of tests have one after the other.
    newest = None

    def __init__(self, directory, config=None, extra=()):
        Lab.newest = self
        # Seconds that the clock of this lab is ahead of the machine's.
        self.skew = 0
        self.directory = directory
        self.state_dir = directory / "state"
        ready_file = directory / "ready.json"
        ready_file.unlink(missing_ok=True)
        command = [os.environ["SSM_LAB"], "serve", "--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0"]
        command += ["--admin-listen", "127.0.0.1:0", "--state-dir", str(self.state_dir), "--ready-file", str(ready_file)]
        if config is not None:
            command += ["--config", str(config)]
        self.log = directory / "lab.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*command, *extra], stdout=subprocess.DEVNULL, stderr=log)
        self.ready = self._wait_until_ready(ready_file)
        self.endpoint, self.tls_endpoint = self.ready["endpoint"], self.ready["tls_endpoint"]
        self.region, self.ca = self.ready["region"], self.ready["ca"]
        self.credentials = {
            "AccessKeyId": self.ready["access_key_id"],
            "SecretAccessKey": self.ready["secret_access_key"],
        }

    def _wait_until_ready(self, ready_file):
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while True:
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
                return json.loads(ready_file.read_text())
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"ssm-lab did not come up:\n{self.log.read_text()}")
            time.sleep(0.01)

    def stop(self):
        """Ends the lab as an operator would, and hands back its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_LIMIT_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        return self.process.returncode

    def user(self, name):
        """The credentials of a user of the config."""
        profiles = configparser.ConfigParser()
        profiles.read(self.state_dir / "credentials")
        profile = profiles[name]
        return {"AccessKeyId": profile["aws_access_key_id"], "SecretAccessKey": profile["aws_secret_access_key"]}

    def client(self, service="ssm", credentials=None, region=None, tls=False, **config):
        credentials = credentials or self.credentials
        config.setdefault("retries", {"total_max_attempts": 1})
        return boto3.session.Session().client(
            service,
            endpoint_url=self.tls_endpoint if tls else self.endpoint,
            verify=self.ca if tls else None,
            region_name=region or self.region,
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials.get("SessionToken"),
            config=Config(**{"read_timeout": 40, **config}),
        )

    def environment(self, credentials=None, **changes):
        """What the AWS CLI gets to see, and nothing else."""
        credentials = credentials or self.credentials
        return {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "LANG": "C.UTF-8",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_DEFAULT_OUTPUT": "json",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
            **changes,
        }

    def admin(self, method, path, body=None):
        address = urlsplit(self.ready["admin"])
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        assert answer.status < 300, f"{method} {path}: {answer.status} {text!r}"
        return json.loads(text) if text else None

    def advance_clock(self, seconds):
        self.admin("POST", "/clock", {"advance_seconds": seconds})
        self.skew += seconds


_sign_for_the_clock_of_the_lab()
