# SPDX-License-Identifier: Apache-2.0
"""What must not be lost or believed when processes are killed, disks fill and files are damaged."""
