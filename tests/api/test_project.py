"""Namespaces of projects, from the path of a folder and the files of git, without running git."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.project import OVERRIDE_FILE, project_namespace
from memtypes.model.errors import InvalidRequest
from memtypes.model.scope import clean_name


def git(folder: Path, *arguments: str) -> None:
    """Run git, as the user of a project does, with no configuration but the repository's."""
    identity = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main")
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
    }
    subprocess.run(
        ("git", *identity, *arguments), cwd=folder, check=True, capture_output=True, env=environment
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository without a remote."""
    folder = tmp_path / "shop"
    folder.mkdir()
    git(folder, "init")
    git(folder, "commit", "--allow-empty", "-m", "first")
    return folder


def with_remote(folder: Path, url: str, name: str = "origin") -> str:
    """The namespace of a new repository at `folder` with this remote."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ".git").exists():
        git(folder, "init")
    git(folder, "remote", "add", name, url)
    return project_namespace(str(folder))


def test_subfolders_and_worktrees_share_the_namespace_of_their_repository(repository: Path) -> None:
    git(repository, "worktree", "add", "../feature")
    (repository / "src" / "deep").mkdir(parents=True)
    namespace = project_namespace(str(repository))
    assert namespace.startswith("shop-")
    assert project_namespace(str(repository / "src" / "deep")) == namespace
    assert project_namespace(str(repository.parent / "feature")) == namespace
    assert project_namespace(f"{repository}/./src/../") == namespace


def test_a_symlink_to_a_project_has_the_project_s_namespace(repository: Path) -> None:
    """A symbolic link gives the namespace of the folder that it leads to."""
    link = repository.parent / "link"
    link.symlink_to(repository)
    assert project_namespace(str(link)) == project_namespace(str(repository))


def test_projects_of_the_same_name_have_different_namespaces(tmp_path: Path) -> None:
    """Folders with equal names and different paths have different namespaces, inside and outside of
    git.
    """
    folders = [tmp_path / "a" / "app", tmp_path / "b" / "app", tmp_path / "c" / "app"]
    for folder in folders:
        folder.mkdir(parents=True)
    git(folders[0], "init")
    git(folders[1], "init")
    assert len({project_namespace(str(folder)) for folder in folders}) == 3


def test_clones_share_a_namespace_however_the_remote_is_reached(tmp_path: Path) -> None:
    """Remotes that differ only in scheme, user, token, default port or `.git` are the same
    project.
    """
    urls = (
        "git@github.com:acme/Shop.git",
        "https://github.com/acme/Shop",
        "https://user:token@GitHub.com/acme/Shop.git/",
        "ssh://git@github.com/acme/Shop.git",
        "ssh://git@github.com:22/acme/Shop",
    )
    namespaces = {with_remote(tmp_path / str(index) / "any", url) for index, url in enumerate(urls)}
    assert len(namespaces) == 1
    assert namespaces.pop().startswith("Shop-")


def test_other_owners_hosts_and_ports_are_other_projects(tmp_path: Path) -> None:
    urls = (
        "https://github.com/acme/shop",
        "https://github.com/other/shop",
        "https://gitlab.com/acme/shop",
        "http://localhost:3000/acme/shop",
        "http://localhost:4000/acme/shop",
    )
    assert len({with_remote(tmp_path / str(index), url) for index, url in enumerate(urls)}) == 5


def test_the_remote_origin_decides_or_else_the_first_remote(tmp_path: Path) -> None:
    """A repository's namespace comes from its remote `origin`, or if there is none, from its first
    remote.
    """
    origin = with_remote(tmp_path / "origin", "https://h/acme/shop")
    with_remote(tmp_path / "fork", "https://h/upstream/shop", "upstream")
    assert with_remote(tmp_path / "fork", "https://h/acme/shop") == origin
    first = with_remote(tmp_path / "first", "https://h/acme/shop", "mine")
    assert with_remote(tmp_path / "first", "https://h/upstream/shop", "upstream") == first == origin


def test_clones_of_a_local_repository_share_its_namespace(tmp_path: Path) -> None:
    """Clones have the same namespace if their remote is the same local folder, named by path or by
    URL.
    """
    git(tmp_path, "init", "--bare", "shop.git")
    git(tmp_path, "clone", "shop.git", "one")
    git(tmp_path, "clone", f"file://{tmp_path}/shop.git", "two")
    assert project_namespace(str(tmp_path / "one")) == project_namespace(str(tmp_path / "two"))


def test_a_remote_is_read_as_git_reads_its_configuration(repository: Path) -> None:
    plain = with_remote(repository.parent / "plain", "https://h/acme/shop")
    (repository / ".git" / "config").write_text(
        '; a comment\n[core]\n  url = no\n[Remote "origin"] # here\n\t URL = '
        '"https://h/acme/shop" ; there\n'
        "  url = https://h/for/pushing\n[branch]\nurl = no\n"
    )
    assert project_namespace(str(repository)) == plain


def test_a_submodule_has_a_different_namespace(repository: Path, tmp_path: Path) -> None:
    """A submodule has another namespace than its repository, because it has its own remote and
    history.
    """
    git(tmp_path, "init", "part")
    git(tmp_path / "part", "commit", "--allow-empty", "-m", "first")
    git(repository, "-c", "protocol.file.allow=always", "submodule", "add", f"{tmp_path}/part")
    assert project_namespace(str(repository / "part")) != project_namespace(str(repository))


def test_the_override_file_names_the_namespace(repository: Path) -> None:
    """The file .remembrancer.toml in the root of a repository names the namespace.

    It is also used for subfolders, and for worktrees without the file.
    """
    (repository / OVERRIDE_FILE).write_text('namespace = "team shop"\n')
    (repository / "src").mkdir()
    git(repository, "worktree", "add", "../feature")
    assert project_namespace(str(repository / "src")) == "team shop"
    assert project_namespace(str(repository.parent / "feature")) == "team shop"


def test_the_override_file_works_without_git(tmp_path: Path) -> None:
    """The file .remembrancer.toml in a folder outside of git names the namespace, too."""
    (tmp_path / OVERRIDE_FILE).write_text('namespace = "notes"')
    assert project_namespace(str(tmp_path)) == "notes"


@pytest.mark.parametrize(
    "text", ["", "namespace", 'namespace = ""', "namespace = 3", "a = 1", 'namespace = "a\\u0000"']
)
def test_an_override_file_without_a_namespace_is_refused_and_not_quoted(
    tmp_path: Path, text: str
) -> None:
    """A .remembrancer.toml without a valid namespace is an error, even though the path would give a
    namespace.

    The error does not quote the file, which may contain secrets.
    """
    (tmp_path / OVERRIDE_FILE).write_text(f"{text}\nsecret = 's3cret'\n")
    with pytest.raises(InvalidRequest, match=r"\.remembrancer\.toml .* namespace") as caught:
        project_namespace(str(tmp_path))
    assert "s3cret" not in str(caught.value)


def test_a_folder_of_another_machine_has_a_namespace_from_its_path() -> None:
    """If the service runs on another machine, the namespace comes from the folder's path alone.

    Different spellings of the path give the same namespace.
    """
    namespace = project_namespace("/home/somebody/far/away/shop")
    assert namespace.startswith("shop-")
    assert project_namespace("//home/somebody/far/./away/shop/") == namespace
    assert project_namespace("/home/other/far/away/shop") != namespace


def test_a_windows_path_in_any_spelling_is_the_same_folder() -> None:
    """A Windows path gives the same namespace in any spelling of its drive letter and slashes."""
    namespace = project_namespace("C:\\Users\\ada\\shop")
    assert namespace.startswith("shop-")
    assert project_namespace("c:/Users/ada/shop/") == namespace
    assert project_namespace("D:\\Users\\ada\\shop") != namespace
    assert project_namespace("\\\\host\\share\\shop").startswith("shop-")


@pytest.mark.parametrize(
    "cwd", ["", " ", "shop", "./shop", "~/shop", "C:shop", "\\shop", "/a\0b", "/a\nb", "/\ud800"]
)
def test_a_relative_or_malformed_path_is_refused(cwd: str) -> None:
    """An empty, malformed or relative path is refused; the service does not know the client's
    current folder.
    """
    with pytest.raises(InvalidRequest, match="cwd must"):
        project_namespace(cwd)


def test_a_folder_with_an_invalid_git_entry_is_no_repository(tmp_path: Path) -> None:
    """A folder whose `.git` is empty, leads nowhere or is a pipe gets a namespace like a folder
    outside of git.
    """
    (tmp_path / "empty" / ".git").mkdir(parents=True)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / ".git").write_text("gitdir: /nowhere/at/all\n")
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / ".git")
    os.mkfifo(tmp_path / "pipe" / OVERRIDE_FILE)
    (tmp_path / "nul").mkdir()
    (tmp_path / "nul" / ".git").write_bytes(b"gitdir: a\0b")
    namespaces = {
        name: project_namespace(str(tmp_path / name)) for name in ("empty", "broken", "pipe", "nul")
    }
    assert all(namespace.startswith(f"{name}-") for name, namespace in namespaces.items())


def test_no_program_that_a_repository_names_is_run(repository: Path) -> None:
    """The namespace is found without a git command, since that would run the program that
    core.fsmonitor names.
    """
    marker = repository / "ran"
    git(repository, "config", "core.fsmonitor", f"touch {marker}")
    project_namespace(str(repository))
    assert not marker.exists()


def test_folder_names_that_are_not_utf_8_are_accepted(tmp_path: Path) -> None:
    """A folder's name may be in any encoding."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    assert project_namespace(str(tmp_path / "link")).startswith("caf-")


@given(st.text(max_size=80))
def test_any_path_has_a_valid_namespace_that_never_changes(path: str) -> None:
    """Any path gives a namespace that the API accepts, and always the same one."""
    try:
        namespace = project_namespace("/no/such/folder/" + path)
    except InvalidRequest:
        return
    assert clean_name(namespace) == namespace
    assert project_namespace("/no/such/folder/" + path) == namespace


@given(
    st.sets(
        st.text("abC-. é日", min_size=1, max_size=12).filter(lambda name: name.strip(".") == name),
        min_size=2,
    )
)
def test_different_folders_have_different_namespaces(names: set[str]) -> None:
    """Two folders whose namespaces have the same readable part have different hashes in them."""
    assert len({project_namespace(f"/no/such/folder/{name}") for name in names}) == len(names)


@given(
    host=st.from_regex(r"[a-z]{1,8}\.[a-z]{2,3}", fullmatch=True),
    path=st.from_regex(r"[a-zA-Z0-9_]{1,8}/[a-zA-Z0-9_-]{1,8}", fullmatch=True),
)
def test_every_form_of_an_address_is_the_same_project(
    tmp_path_factory: pytest.TempPathFactory, host: str, path: str
) -> None:
    """Every form of a remote's address, with arbitrary hosts and paths, gives the same
    namespace.
    """
    folder = tmp_path_factory.mktemp("forms")
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    namespaces = set()
    for url in (
        f"git@{host}:{path}.git",
        f"{host}:{path}",
        f"https://{host}/{path}",
        f"ssh://a@{host}:22/{path}.git/",
    ):
        (folder / ".git" / "config").write_text(f'[remote "origin"]\n\turl = {url}\n')
        namespaces.add(project_namespace(str(folder)))
    assert len(namespaces) == 1
