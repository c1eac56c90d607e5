# SPDX-License-Identifier: Apache-2.0
"""Devices over TVM's RPC: boards, phones, and the virtual board that anyone can start."""
