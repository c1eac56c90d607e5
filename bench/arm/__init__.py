# SPDX-License-Identifier: Apache-2.0
"""Other runtimes' real AArch64 code on modelled cores: held against published boards, and raced with ours."""
