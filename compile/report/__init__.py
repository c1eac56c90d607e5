# SPDX-License-Identifier: Apache-2.0
"""One HTML page about artifacts: `collect` gathers what is known of them, `render` writes it down."""
