"""How a process that enhances keeps its memory and its cores."""

import ctypes
import os


def tune_process() -> None:
    """Set what holds for the whole process, and so is no library's to decide. Before OpenCV is loaded."""
    _keep_memory()
    # Every frame has a thread of its own, which OpenCV's would only wait for each other beside: rounding
    # to 1280x720 took 2.5 core-ms with two of them, 1.6 with one.
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")


def _keep_memory() -> None:
    """Keep freed memory in the process (glibc): giving pages back and faulting
    them in took up to 57 % of the time."""
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return  # not glibc: macOS, Windows, musl
    # No M_TOP_PAD: it gained nothing here, and with it memory crept up by 2 KB
    # a frame (320x180, 10,000 frames).
    m_trim_threshold, m_mmap_max = -1, -4
    mallopt(m_mmap_max, 0)
    mallopt(m_trim_threshold, 2**31 - 1)
