"""How a process that enhances keeps its memory."""

import ctypes


def tune_malloc() -> None:
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
