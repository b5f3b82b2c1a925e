"""Derives the namespace of a project from its folder, for clients that send only their working
folder.

A project is a git repository, or a folder outside of any repository. Git's files are read, but git
is not run: the client chooses the folder, and a repository's configuration can name programs that
git starts (`core.fsmonitor`).
"""

from __future__ import annotations

import hashlib
import ntpath
import os
import re
import tomllib
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from memtypes.model.errors import InvalidRequest
from memtypes.model.scope import clean_name

OVERRIDE_FILE = ".remembrancer.toml"
"""File in a project's root folder that can set the project's namespace, by a line `namespace =
"..."`.
"""

MAX_FILE = 1024 * 1024
"""Maximum number of bytes that are read of a file; git configurations and override files are far
smaller.
"""

_MAX_LABEL = 64
_HASH = 10
_DEFAULT_PORTS = {"ssh": 22, "git+ssh": 22, "https": 443, "http": 80, "git": 9418}
_URL_FORM = re.compile(
    r"(?P<scheme>(?!file:)[\w+.-]+)://(?:[^/]*@)?(?P<host>[^/]+)(?P<path>.*)", re.IGNORECASE
)
_SCP_FORM = re.compile(r"(?:[^@/:]*@)?(?P<host>\[[^\]]+\]|[^:/\[\]]+):(?P<path>.*)")
_SECTION = re.compile(r'\[\s*(?P<kind>[\w.-]+)\s*(?:"(?P<name>(?:[^"\\]|\\.)*)")?\s*\]')
_REMOTE_URL = re.compile(r"url\s*=\s*(?P<value>.*)", re.IGNORECASE)
_QUOTED_OR_COMMENT = re.compile(r'"((?:[^"\\]|\\.)*)"|\s*[#;].*')


def project_namespace(cwd: str) -> str:
    """The namespace of the project that the folder `cwd` belongs to.

    If the project's root has an OVERRIDE_FILE, the file states the namespace. Otherwise the
    namespace is a name and a hash. In a git repository, they are made from the address of the
    remote `origin` or else of the first remote, so that clones share a namespace. In a repository
    without a remote, they are made from the folder that its worktrees share. Outside of a
    repository, they are made from the path of `cwd`, also if that folder does not exist because the
    client runs on another machine. Raises InvalidRequest for a path that is not absolute or an
    invalid override file.
    """
    path = _normal(cwd)
    # is_dir() raises for long paths
    if not path.startswith("/") or not os.path.isdir(path):  # noqa: PTH112
        return _labelled(PureWindowsPath(path).name, path)
    folder = Path(os.path.realpath(path))
    worktrees = ((root, _common_folder(root / ".git")) for root in (folder, *folder.parents))
    root, common = next(
        (worktree for worktree in worktrees if worktree[1] is not None), (folder, None)
    )
    for parent in (
        (root, common.parent) if common is not None and common.name == ".git" else (root,)
    ):
        if (text := _text(parent / OVERRIDE_FILE)) is not None:
            return _override(text)
    return _labelled(folder.name, str(folder)) if common is None else _repository_namespace(common)


def _repository_namespace(common: Path) -> str:
    """The namespace of the repository with the git directory `common`, by its remote's address or
    else by its path.
    """
    remotes: dict[str, str] = {}
    for name, url in _remotes(_text(common / "config") or ""):
        remotes.setdefault(name, url)  # further addresses are for pushing
    if remotes:
        address = _address(remotes.get("origin", next(iter(remotes.values()))), common)
        return _labelled(PurePosixPath(address).name, address)
    inside = common.name.startswith(".")  # `.git`, or `.bare` beside its worktrees
    return _labelled(
        common.parent.name if inside else common.name.removesuffix(".git"), str(common)
    )


def _normal(cwd: str) -> str:
    """`cwd` without `.`, `..` and a final slash. Raises InvalidRequest unless it is an absolute,
    printable path.
    """
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in cwd):
        raise InvalidRequest("cwd must not contain control characters", path="cwd", got=cwd)
    if cwd.startswith("/"):
        return os.path.normpath("/" + cwd.lstrip("/"))
    drive, path = ntpath.splitdrive(ntpath.normpath(cwd))
    if not drive or not path.startswith("\\"):
        raise InvalidRequest(
            "cwd must be the absolute path of the project's folder", path="cwd", got=cwd
        )
    return drive.lower() + path


def _labelled(name: str, identity: str) -> str:
    """A namespace: a readable form of `name`, and a hash of `identity`, which differs for projects
    of the same name.
    """
    label = (
        re.sub(r"[^\w.-]+", "-", unicodedata.normalize("NFC", name)).strip("-.")[:_MAX_LABEL]
        or "project"
    )
    return f"{label}-{hashlib.sha256(os.fsencode(identity)).hexdigest()[:_HASH]}"


def _text(file: Path) -> str | None:
    """The text of `file`; None if it is not a regular file, can't be read or contains binary
    data.
    """
    try:
        if not file.is_file():  # a pipe would block
            return None
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE)
    except OSError:
        return None
    return None if b"\0" in content else os.fsdecode(content)


def _override(text: str) -> str:
    """The namespace that the OVERRIDE_FILE `text` sets. Raises InvalidRequest, which does not quote
    the file.
    """
    try:
        return clean_name(tomllib.loads(text)["namespace"])
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        expected = (
            f'{OVERRIDE_FILE} of the project must be TOML with namespace = "NAME" of 1 to '
            "256 characters"
        )
        raise InvalidRequest(expected, path="cwd") from error


def _common_folder(entry: Path) -> Path | None:
    """The git directory that all worktrees share; None if it is invalid. entry: the folder or file
    `.git`.
    """
    folder: Path | None = entry
    if (link := _text(entry)) is not None:
        target = link.strip().removeprefix("gitdir:").strip()
        folder = (
            Path(os.path.realpath(entry.parent / target))
            if link.startswith("gitdir:") and target
            else None
        )
    if folder is None or _text(folder / "HEAD") is None:
        return None
    shared = (_text(folder / "commondir") or ".").strip()
    return Path(os.path.realpath(folder / shared))


def _remotes(config: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the address of each remote in a git configuration file, in order. config:
    the file's text.
    """
    remote: str | None = None
    for line in config.splitlines():
        text = line.strip()
        if section := _SECTION.match(text):
            name = re.sub(r"\\(.)", r"\1", section["name"] or "")
            remote = name if section["kind"].lower() == "remote" else None
            text = text[section.end() :].strip()
        if remote is not None and (url := _REMOTE_URL.match(text)):
            value = _QUOTED_OR_COMMENT.sub(lambda match: match[1] or "", url["value"]).strip()
            if value:
                yield remote, value


def _address(url: str, common: Path) -> str:
    """A git remote's URL reduced to host and path, so that different URLs of a repository give the
    same address.

    Scheme, user, default port and `.git` are left out. If `url` is a folder, the result is its
    absolute path. A relative path is resolved against the parent of `common`, the git directory
    that the worktrees share.
    """
    if match := _URL_FORM.fullmatch(url):
        host = match["host"].lower().removesuffix(f":{_DEFAULT_PORTS.get(match['scheme'].lower())}")
        address = f"{host}/{match['path'].strip('/')}"
    elif "://" not in url and (match := _SCP_FORM.fullmatch(url)):
        address = f"{match['host'].lower()}/{match['path'].strip('/')}"
    else:
        address = os.path.realpath(common.parent / re.sub("(?i)^file://", "", url))
    return address.rstrip("/").removesuffix(".git").rstrip("/")
