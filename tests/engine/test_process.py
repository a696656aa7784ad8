"""What holds for a whole process that enhances."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(("set_by_user", "threads"), [(None, 1), ("2", 2)])
def test_opencv_has_one_thread_unless_the_user_says_otherwise(set_by_user: str | None, threads: int):
    environment = {name: value for name, value in os.environ.items() if name != "OPENCV_FOR_THREADS_NUM"}
    if set_by_user:
        environment["OPENCV_FOR_THREADS_NUM"] = set_by_user
    code = "from vsr.engine import tune_process; tune_process(); import cv2; print(cv2.getNumThreads())"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == (str(threads), "")
