"""A job shared out to a pool: borders are found by reading ahead, and the journal takes what comes back.

Decoding and looking for scene cuts costs a hundredth of enhancing, so who holds the journal reads the source
itself, by the same code as a worker, and hands out the segments between the borders it finds: the same as one
process would make.
"""

from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from functools import partial
from itertools import count

from vsr.errors import SourceError, VsrError
from vsr.jobs.segments.border import Border
from vsr.jobs.segments.borders import ReadsDifferentlyError
from vsr.jobs.segments.journal import Gap, Journal
from vsr.jobs.workers.pool import Died, Failed, Finished, News, Pool, SegmentProgress, Tell
from vsr.jobs.workers.worker import StretchReader
from vsr.media import is_disk_full
from vsr.pipeline import Clock, Report
from vsr.pulse import beat

_WAIT_S = 0.5
_LOOK_EVERY = 4
"""Frames of reading ahead after which the workers' news are looked at."""


def gaps_of(journal: Journal, reading: StretchReader) -> Generator[Gap | None, None, None]:
    """Yield the segments that are missing, one after the other; None where
    there is something to read first."""
    begin: Border | None = None
    for number in count():
        end, segment = journal.borders.get(number + 1), journal.segments.get(number)
        is_last = segment is not None and segment.next is None
        if end is None and not is_last:
            break
        if not journal.has(number):
            yield Gap(begin, end)
        if is_last:
            return
        begin = end
    for border in _read_on(journal, reading, begin):
        if border is not None:
            yield Gap(begin, border)
            begin = border
        else:
            yield None
    yield Gap(begin, None)


def _read_on(
    journal: Journal, reading: StretchReader, begin: Border | None
) -> Generator[Border | None, None, None]:
    """Yield the borders after `begin`, and None now and then."""
    for from_start in (False, True):
        stretch = reading.stretch(Gap(begin, None), from_start=from_start)
        num_found = 0
        try:
            for index, _ in enumerate(stretch.frames()):
                yield from list(stretch.borders.values())[num_found:]
                num_found = len(stretch.borders)
                if index % _LOOK_EVERY == 0:
                    yield None
            return
        except ReadsDifferentlyError as error:
            if from_start:
                raise SourceError(f"{error}; --restart begins anew") from error


class Dispatcher:
    """Keeps a pool busy and writes down what it makes."""

    def __init__(
        self,
        pool: Pool,
        journal: Journal,
        clock: Clock,
        tell: Tell,
        *,
        wait_for_disk: Callable[[int, int | None], None],
    ):
        """Share out a job.

        Args:
            pool: who enhances.
            journal: where finished segments go.
            clock: shows what all workers do together.
            tell: is given lines that cannot wait.
            wait_for_disk: called with the number of segments that will be under way, and where the disk has
                got full with the size of what was lost.
        """
        self._pool, self._journal, self._clock, self._tell = pool, journal, clock, tell
        self._wait_for_disk = wait_for_disk
        self._under_way: dict[int, Gap] = {}
        self._progress: dict[int, SegmentProgress] = {}
        self._deaths: set[int] = set()
        self._done: list[Finished] = []

    def run(self, gaps: Generator[Gap | None, None, None]) -> Report:
        """Have all gaps enhanced.

        Raises:
            VsrError: a worker has died twice over one segment.
            Exception: whatever a worker met, as it met it; what the others had finished by then is kept.
        """
        ended = False
        try:
            while self._under_way or not ended:
                has_room = not ended and len(self._under_way) < self._pool.width
                if has_room:
                    try:
                        gap = next(gaps)
                    except StopIteration:
                        ended, gap = True, None
                    if gap is not None:
                        self._submit(gap)
                self._hear(self._pool.news(0 if has_room else _WAIT_S))
        except BaseException:
            with suppress(Exception):
                self._hear([news for news in self._pool.news(0) if isinstance(news, Finished)])
            raise
        finally:
            gaps.close()
        return self._report()

    def _submit(self, gap: Gap, lost_bytes: int | None = None) -> None:
        self._wait_for_disk(len(self._under_way) + 1, lost_bytes)
        if gap.end is not None and gap.end.number not in self._journal.borders:
            self._write(partial(self._journal.add_border, gap.end))
        self._under_way[gap.number] = gap
        self._pool.submit(gap)

    def _write(self, write: Callable[[], None]) -> None:
        """Write to the journal, as soon as there is room."""
        while True:
            try:
                return write()
            except OSError as error:
                if not is_disk_full(error):
                    raise
                self._wait_for_disk(len(self._under_way), 0)

    def _hear(self, all_news: Iterable[News]) -> None:
        """Write down what is finished before anything is made of what is not."""
        others: list[Failed | Died] = []
        for news in all_news:
            beat()
            if isinstance(news, SegmentProgress):
                self._progress[news.number] = news
            elif isinstance(news, Finished):
                self._write(partial(self._journal.keep, news.segment, news.part))
                self._done.append(news)
                self._end(news.number)
            else:
                others.append(news)
        self._show()
        for news in others:
            self._try_again(news)

    def _end(self, number: int) -> Gap:
        self._progress.pop(number, None)
        return self._under_way.pop(number)

    def _try_again(self, news: Failed | Died) -> None:
        gap = self._end(news.number)
        if isinstance(news, Failed):
            if not news.disk_is_full:
                raise news.error
            self._submit(gap, news.lost_bytes)
            return
        if news.number in self._deaths:
            raise VsrError(
                f"{news.why}, the second time over segment {news.number}; fewer workers need less memory"
            )
        self._deaths.add(news.number)
        self._tell(f"{news.why}; segment {news.number} is done again")
        self._submit(gap)

    def _show(self) -> None:
        """Set the clock."""
        clock, ways, done = self._clock, self._progress.values(), [item.report for item in self._done]
        clock.frames = sum(item.segment.num_frames for item in self._done) + sum(way.frames for way in ways)
        for name in ("decode_s", "engine_s", "encode_s"):
            setattr(clock, name, sum(getattr(part, name) for part in (*done, *ways)))

    def _report(self) -> Report:
        reports = [item.report for item in self._done]
        shown = sum(report.num_frames for report in reports)
        skipped = sum(report.share_skipped * report.num_frames for report in reports)
        num_reused = sum(report.num_reused for report in reports)
        notes = dict.fromkeys(note for report in reports for note in report.notes)
        return Report.of(self._clock, num_reused, skipped / shown if shown else 0.0, notes)
