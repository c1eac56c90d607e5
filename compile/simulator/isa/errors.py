# SPDX-License-Identifier: Apache-2.0
"""Why a kernel cannot be simulated."""

from mnc.support.errors import UserError


class SimulationError(UserError):
    """The machine code has something that the model does not know; the message names it."""
