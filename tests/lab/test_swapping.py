"""The thread that reads ahead: order, errors, and an end when nobody reads any more."""

import threading
import time

import pytest

from lab.swapping import prefetch


def test_prefetch_keeps_the_order():
    assert list(prefetch(iter(range(100)), depth=3)) == list(range(100))


def test_prefetch_of_nothing_ends():
    assert list(prefetch(iter(()))) == []


def test_prefetch_runs_in_another_thread_and_no_further_ahead_than_told():
    made = []

    def items():
        for i in range(50):
            made.append(threading.get_ident())
            yield i

    ahead = prefetch(items(), depth=4)
    next(ahead)
    time.sleep(0.2)
    assert len(made) <= 1 + 4 + 1, "one taken, four waiting, one in hand"
    assert threading.get_ident() not in made
    ahead.close()


def test_prefetch_passes_an_error_on_after_what_came_before():
    def items():
        yield 1
        raise ValueError("broken")

    ahead = prefetch(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="broken"):
        next(ahead)


def test_prefetch_closes_its_source_when_nobody_reads_on():
    closed = threading.Event()

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    ahead = prefetch(items(), depth=2)
    next(ahead)
    ahead.close()
    assert closed.wait(2), "the source was left open"
    assert threading.active_count() == 1
