# SPDX-License-Identifier: Apache-2.0
"""Anyone's AArch64 programs, priced by the core model: run under the emulator, which tells what they do."""
