# SPDX-License-Identifier: Apache-2.0
"""Machines that join to simulate candidates: the client, the server, the workers it keeps."""
