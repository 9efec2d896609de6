"""The page's live stream. Lost otherwise: the API's memory, where a viewer does not read."""

from __future__ import annotations

from scanplan.web.ui import live


def test_a_reader_that_does_not_keep_up_is_cut_and_takes_no_memory() -> None:
    viewer = live.Viewer()
    for number in range(1_000):
        viewer.offer(live.event("change", number))
        if viewer.events.qsize() == 1 and number:
            break
    assert viewer.events.get_nowait() is None
