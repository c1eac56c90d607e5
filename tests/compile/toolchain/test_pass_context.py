# SPDX-License-Identifier: Apache-2.0
"""What the project sets up in TVM."""

import pytest
import tvm

from mnc.compile.toolchain import pass_context


def test_ctrl_c_in_python_code_that_tvm_has_called_ends_the_call(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert pass_context.pass_context() is not None

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tvm.runtime.convert(interrupted)()
    assert capfd.readouterr().err == ""
