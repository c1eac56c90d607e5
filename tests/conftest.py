# SPDX-License-Identifier: Apache-2.0
"""What holds for every test: Ctrl-C ends what tests start, however they were started themselves."""

import signal

# A shell ignores SIGINT for what it runs in the background, and a process hands that on to those it starts:
# tests that interrupt a process would wait for it for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
