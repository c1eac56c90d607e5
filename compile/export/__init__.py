# SPDX-License-Identifier: Apache-2.0
"""A freestanding library of an artifact: one `.so`, one `.a`, one C header, and no TVM.

Takes an `Artifact` with its kernels' object and graph; gives a folder that an app links against. The
runtime inside is `runtime/`, a few hundred lines of C that need libc, libm and pthread.
"""
