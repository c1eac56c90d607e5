# SPDX-License-Identifier: Apache-2.0
"""Other runtimes as they would run on an x86 CPU without AVX-512, AVX-VNNI and AMX.

Takes the name of an environment; gives one whose libraries are told of no such instructions, whoever asks.
"""
