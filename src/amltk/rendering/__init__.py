"""Looking at schedulers, tasks and emitters: in a terminal, in a notebook, while they run.

Only this package knows rich, and it is imported when somebody looks, not before.
"""
