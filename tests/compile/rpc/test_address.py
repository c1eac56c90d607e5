# SPDX-License-Identifier: Apache-2.0
"""Addresses as users write them."""

import pytest

from mnc.compile.rpc import address
from mnc.compile.rpc.address import Address
from mnc.support.errors import UserError


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("rpc://10.0.0.7:9200/rpi4", Address("10.0.0.7", 9200, "rpi4")),
        ("rpc://board.local/rk3399", Address("board.local", 9190, "rk3399")),
        ("rpc://[::1]:9190/pixel2", Address("::1", 9190, "pixel2")),
        ("  rpc://127.0.0.1:9190/arm ", Address("127.0.0.1", 9190, "arm")),
    ],
)
def test_what_is_written_is_read(text: str, wanted: Address) -> None:
    assert address.parse(text) == wanted
    assert address.parse(str(wanted)) == wanted


def test_the_key_may_come_from_elsewhere() -> None:
    assert address.parse("rpc://127.0.0.1", key="arm") == Address("127.0.0.1", 9190, "arm")
    assert address.parse_tracker("127.0.0.1:9300") == ("127.0.0.1", 9300)
    assert address.parse_tracker("rpc://host") == ("host", 9190)


@pytest.mark.parametrize(
    "text",
    ["", "arm", "http://127.0.0.1:9190/arm", "rpc://", "rpc://host:0/arm", "rpc://host:99999/arm",
     "rpc://host:port/arm", "rpc://host:1/a b", "rpc://host:1/a:b", "rpc://host:1/a/b", "rpc://host:1"],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UserError):
        address.parse(text)


def test_only_the_loopback_is_safe() -> None:
    assert address.warning("127.0.0.1") is None
    assert "no authentication" in str(address.warning("0.0.0.0"))
