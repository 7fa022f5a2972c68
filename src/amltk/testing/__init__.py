"""Testing executors: what every `concurrent.futures.Executor` has to do, as tests."""

from amltk.testing.suite import executor_suite

__all__ = ["executor_suite"]
