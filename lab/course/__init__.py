"""The course machinery: which code runs, and (later) who checks it."""

from lab.course.loading import load

__all__ = ["load"]
