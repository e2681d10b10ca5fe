"""The Hub: what is published there, and how a package gets there exactly once."""

from __future__ import annotations

from labeler.hub.backups import BACKUP, backup_there, fetch_backup, keep_backup
from labeler.hub.copies import PublishedCopy, repo_and_revision, row_differences
from labeler.hub.oauth import HubOAuth, hub_sign_in
from labeler.hub.patience import Patience
from labeler.hub.purge import PurgeResult, history_of, purge_history
from labeler.hub.push import PushResult, push
from labeler.hub.refusals import Again
from labeler.hub.repo import DatasetRepo, Published, RemoteFile, repo_here
from labeler.hub.steps import Report, Step, silent
from labeler.hub.verify import verify_remote

__all__ = [
    "BACKUP",
    "Again",
    "DatasetRepo",
    "HubOAuth",
    "Patience",
    "Published",
    "PublishedCopy",
    "PurgeResult",
    "PushResult",
    "RemoteFile",
    "Report",
    "Step",
    "backup_there",
    "fetch_backup",
    "history_of",
    "hub_sign_in",
    "keep_backup",
    "purge_history",
    "push",
    "repo_and_revision",
    "repo_here",
    "row_differences",
    "silent",
    "verify_remote",
]
