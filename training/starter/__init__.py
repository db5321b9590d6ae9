"""The recipe of the starter's weights: one module a step, run by ``python -m training.starter STEP``.

sounds -> mixtures -> table -> labels -> student -> head -> export; every step is seeded, resumable and writes what it
measured to ``WORK/figures.jsonl``. What may be learnt from what is decided in ``sounds``, once:

- pool ``base``: recordings, drum and instrument samples, and our own synthesis;
- pool ``folds``: ESC-10's folds 1 and 2;
- pool ``rest``: ESC-10's fold 3 and the recordings whose group (one source, all of its takes) is held out.

The student learns in three stages: base, then base and folds, then everything. After the first it has heard nothing of
ESC-10 and nothing of the held-out groups, after the second nothing of fold 3 and of the held-out groups: that is where
its figures are taken. Only the last is shipped.
"""
