"""The recipe of the starter's weights: one module a step, run by ``python -m training.starter STEP``.

sounds -> mixtures -> table -> student -> head -> export; every step is seeded and resumable, and what it measured goes
to ``WORK/figures.jsonl`` and ``WORK/student.jsonl``; ``log/`` beside this file has those of what ships. What may be
learnt from what is decided in ``sounds``, once:

- pool ``base``: recordings, drum and instrument samples, espeak-ng and fluidsynth;
- pool ``folds``: ESC-10's folds 1 and 2;
- pool ``rest``: ESC-10's fold 3 and the recordings whose group (one source, all of its takes) is held out;
- pool ``synthesis``: our own procedural sounds.

The student learns in stages: base, then base and folds, then everything. After the first it has heard nothing of
ESC-10 and nothing of the held-out groups, after the second nothing of fold 3 and of the held-out groups: that is where
its figures are taken. Only the last is shipped.

``labels`` compares texts for the classes and ways to weigh them; nothing that ships is made by it but ``labels.csv``.
"""
