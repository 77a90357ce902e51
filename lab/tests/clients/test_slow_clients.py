"""Clients that send a byte a second are cut off. They drip from the start of the run, see conftest.py, and are judged here."""

import pytest

from agent_wire import signed_call


@pytest.mark.parametrize("kind", ["headers", "body", "chunks", "TLS hello", "headers in TLS"])
def test_a_byte_a_second_is_cut_off(slow_clients, kind):
    lab, drips = slow_clients
    assert drips[kind].result(), "the connection is still open"
    assert signed_call(lab, "AmazonSSM.DescribeActivations", b"{}").status == 200
