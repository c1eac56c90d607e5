# SPDX-License-Identifier: Apache-2.0
"""The functions that our device server (`mnc.compile.rpc.server`) adds to TVM's.

The server file is copied to boards by itself, so it repeats these; a test compares them.
"""

REPORT = "mnc.device_report"
SETUP_CACHES = "mnc.device_setup_caches"
PREPARE_CACHES = "mnc.device_prepare_caches"
POOL_THREADS = "mnc.device_pool_threads"

# What a machine that has joined to simulate adds (`mnc.compile.measure.fleet.server`), and its key.
SIMULATE = "mnc.simulate"
SIMULATOR_IDENTITY = "mnc.simulator_identity"
SIMULATOR_KEY = "mnc-simulator"
