"""One line that says how far a long job is and how long it will still take."""

import sys
import time
from typing import TextIO


class Progress:
    """A live line on a terminal; elsewhere a plain line every few seconds.

    Args:
        total: number of steps, at least 1.
        what: what is being done, the line's first words.
        unit: what one step is, e.g. "frames".
        stream: where the line goes; standard error by default.
    """

    def __init__(
        self, total: int, what: str, unit: str = "frames", stream: TextIO | None = None
    ) -> None:
        self.total, self.what, self.unit = max(total, 1), what, unit
        self.done, self._timed = 0, -1  # the first step warms up: it starts the clock
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._started_s = self._shown_s = time.monotonic()
        self._width = 0

    def step(self, note: str = "", steps: int = 1, *, worked: bool = True) -> None:
        """Count steps and show the line if it is due.

        Args:
            note: words at the end of the line.
            steps: how many.
            worked: False for steps that were skipped; they do not count for the speed.
        """
        self.done += steps
        now_s = time.monotonic()
        if worked and self._timed < 0:
            self._started_s, self._timed = now_s, 0
        elif worked:
            self._timed += steps
        if now_s - self._shown_s >= (0.2 if self._live else 5.0):
            self._shown_s = now_s
            self._show(note)

    def finish(self, note: str = "") -> None:
        """Show the line a last time and end it."""
        self._show(note)
        if self._live:
            self._stream.write("\n")
        self._stream.flush()

    def line(self, note: str = "") -> str:
        """The text: "rendering  41/100 frames  41 %  12.3 frames/s  0:05 left"."""
        elapsed_s = time.monotonic() - self._started_s
        speed = self._timed / elapsed_s if elapsed_s > 0 else 0.0
        share = 100 * self.done // self.total
        parts = [self.what, f"{self.done}/{self.total} {self.unit}", f"{share} %"]
        if speed > 0:
            parts.append(f"{speed:.1f} {self.unit}/s")
            parts.append(f"{clock((self.total - self.done) / speed)} left")
        return "  ".join([*parts, note] if note else parts)

    def _show(self, note: str) -> None:
        text = self.line(note)
        if self._live:
            self._stream.write("\r" + text.ljust(self._width))
            self._width = len(text)
        else:
            self._stream.write(text + "\n")
        self._stream.flush()


def clock(seconds: float) -> str:
    """Seconds as 0:05, 12:30 or 1:02:03."""
    minutes, second = divmod(round(max(seconds, 0)), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"
