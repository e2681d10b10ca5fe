"""May this machine's token do what pushing needs, and is the repo as private as the study wants it?"""

from __future__ import annotations

from collections.abc import Iterator

from labeler.checkup import Check, failed, told, warned, well
from labeler.errors import HubError
from labeler.hub.repo import DatasetRepo

TOKEN, REPO = "token", "repo"


def examine_hub(repo: DatasetRepo) -> Iterator[Check]:
    """Whose token it is, whether the repo is there and private as said, and whether the token may write it."""
    try:
        yield (told_by := _whose(repo))
        if told_by.level != "fail":
            yield from _of_repo(repo)
    except HubError as error:
        yield told(REPO, str(error))


def _whose(repo: DatasetRepo) -> Check:
    try:
        with repo.calling():
            account = repo.api.whoami()
    except HubError as error:
        return told(TOKEN, str(error))
    token = (account.get("auth") or {}).get("accessToken") or {}
    name, role = account.get("name", "somebody"), token.get("role", "unknown")
    if role == "read":
        return failed(TOKEN, f"{name}'s token may only read", f"make one that may write to {repo.repo_id}")
    return well(TOKEN, f"{name}'s, with the role {role}")


def _of_repo(repo: DatasetRepo) -> Iterator[Check]:
    published = repo.published()
    if published is None:
        yield warned(
            REPO,
            f"{repo.repo_id} is not there, or this token may not see it",
            "labeler push makes it, if the token may create it",
        )
        return
    if published.private == repo.private:
        yield well(REPO, f"{repo.repo_id} is {'private' if repo.private else 'public'}, as the study says")
    else:
        yield failed(
            REPO,
            f"{repo.repo_id} is {'private' if published.private else 'public'}, and the study says otherwise",
            "change the repo's visibility on the Hub or dataset.private; nothing is pushed until they agree",
        )
    with repo.calling():
        repo.api.auth_check(repo.repo_id, repo_type="dataset", write=True)
    yield well(REPO, "the token may write to it")
