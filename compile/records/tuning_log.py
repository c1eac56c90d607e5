# SPDX-License-Identifier: Apache-2.0
"""The log of trials: append-only, one line a trial, whole lines whatever kills the process.

Takes the path of a log and, to add to it, Trials; gives the Trials it holds and each task's best.
Lines that cannot be used are skipped and counted, never fatal and never rewritten.
"""

from collections import Counter
from pathlib import Path

from mnc.compile.records import append_only_file
from mnc.compile.records.append_only_file import AppendOnlyFile
from mnc.compile.records.line_codec import LineDecoder, LineError, encode_line
from mnc.compile.records.paths import committed
from mnc.compile.records.trial import (
    Trial,
    target_model,
)
from mnc.support.closing import Closing

BLANK = b"\0 \t\v\f"  # zeros: what a power cut can leave where a line was to be
OTHER_DEVICE = "for another device"  # a reason to leave a line out; `other_models` has the names


class TuningLog(Closing):
    """A log, read whole when opened. `trials` are its usable ones in order, `skipped` counts the
    lines that are not, by reason, and `other_models` those that are for other devices.

    Use it as a context manager.
    """

    def __init__(self, path: Path, *, file: AppendOnlyFile | None, target: str | None) -> None:
        self.path = path
        self.trials: list[Trial] = []
        self.skipped: Counter[str] = Counter()
        self.other_models: Counter[str] = Counter()
        self._file = file
        self._model = None if target is None else target_model(target)
        self._filtered = target is not None

    @classmethod
    def open(cls, path: Path, *, exclusive: bool, target: str | None = None) -> "TuningLog":
        """Open the log at `path`; with `exclusive`, lock it for adding (made if absent) and repair
        its end. Otherwise the file is only read, and an absent one is empty. What an installed copy
        knows of the same target and network comes before the file's own lines.

        `target`, a TVM target string, keeps only trials of its `-model`. UserError when the file
        cannot be read or written, or another process is adding to it.
        """
        file = AppendOnlyFile(path) if exclusive else None
        tuning_log = cls(path, file=file, target=target)
        try:
            for known in (committed(path), path):
                if known is not None:
                    tuning_log._load(append_only_file.read(known))
        except BaseException:
            tuning_log.close()
            raise
        return tuning_log

    def append(self, *trials: Trial) -> None:
        """Add trials: one write of whole lines, on disk when this returns. UserError when it cannot be
        (full disk); the log is then as it was.
        """
        if self._file is None:
            raise ValueError(f"{self.path} is not open for adding")
        self._file.append(b"".join(map(encode_line, trials)))
        self.trials.extend(trials)

    def close(self) -> None:
        """Give up the lock. Harmless when repeated."""
        if self._file is not None:
            self._file.close()

    def _load(self, data: bytes) -> None:
        decoder = LineDecoder()
        for line in append_only_file.lines(data):
            if not line.strip(BLANK) or line.startswith(b"#"):
                continue
            try:
                trial = decoder.decode(line)
            except LineError as reason:
                self.skipped[str(reason)] += 1
                continue
            if self._is_ours(trial):
                self.trials.append(trial)

    def _is_ours(self, trial: Trial) -> bool:
        if not self._filtered:
            return True
        model = trial.model
        if model is not None and model == self._model:
            return True
        self.skipped[OTHER_DEVICE] += 1
        self.other_models[model or "unnamed"] += 1
        return False
