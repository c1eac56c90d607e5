# SPDX-License-Identifier: Apache-2.0
"""What measuring leaves behind: trials, the append-only log of them, which of them a build takes."""
