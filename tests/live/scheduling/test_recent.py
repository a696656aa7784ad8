import pytest

from vsr.live.scheduling.recent import RecentValues


def filled(*values: float, step_s: float = 1.0, **options: int) -> RecentValues:
    recent = RecentValues(5.0, 0.0, **options)
    for number, value in enumerate(values):
        recent.add(value, (number + 1) * step_s)
    return recent


def test_values_count_for_their_span_alone():
    recent = filled(1, 2, 3)
    assert recent.values(6.0) == [1, 2, 3]
    assert recent.values(7.5) == [3]
    assert recent.mean(7.5) == 3


def test_a_rate_is_per_second_from_the_beginning_on_and_never_over_more_than_the_span():
    assert filled(10, 10).rate(2.0) == pytest.approx(10)
    assert filled(*[10] * 20).rate(20.0) == pytest.approx(6 * 10 / 5)


def test_a_rate_of_more_values_than_are_kept_is_of_those_that_are():
    assert filled(*[1] * 100, step_s=0.01, most=10).rate(1.0) == pytest.approx(10 / 0.09)


def test_a_quantile_is_the_smallest_value_that_the_share_does_not_exceed():
    recent = filled(*range(1, 101), step_s=0.01)
    assert (recent.quantile(0.5, 1.0), recent.quantile(0.95, 1.0), recent.quantile(1, 1.0)) == (50, 95, 100)


def test_without_values_everything_is_zero():
    recent = filled()
    assert (recent.mean(1.0), recent.rate(1.0), recent.quantile(0.95, 1.0)) == (0, 0, 0)
