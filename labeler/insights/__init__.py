"""How far what annotators say can be trusted: agreement, rankings of models, bias, and the annotators themselves.

Pure functions of counts. What they are given is small however long the log is; see ``labeler.store.summaries``.
"""
