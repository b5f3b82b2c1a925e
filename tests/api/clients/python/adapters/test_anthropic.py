"""The adapter for Anthropic's memory tool: compared with the SDK's tool for files, and with
documented answers.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from anthropic.lib.tools import ToolError
from anthropic.tools.memory import BetaLocalFilesystemMemoryTool
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from remembrancer_client import AsyncRemembrancer, Remembrancer
from remembrancer_client.anthropic import AsyncMemoryTool, MemoryTool

NAMES = [
    "a",
    "b",
    "d",
    "d/a.txt",
    "d/e",
    "d/e/deep.md",
    "d.txt",
    ".hidden",
    "d/.x",
    "größe ü.txt",
    "d/e/f/far",
]
PATHS = st.sampled_from(["/memories", *(f"/memories/{name}" for name in NAMES)])
LINES = st.lists(st.sampled_from(["one", "two", "two", "", "größe", "\r", "x" * 600]), max_size=6)
TEXTS = st.tuples(LINES.map("\n".join), st.sampled_from(["", "\n"])).map("".join)
COMMANDS = st.one_of(
    st.fixed_dictionaries({"command": st.just("view"), "path": PATHS}),
    st.fixed_dictionaries(
        {
            "command": st.just("view"),
            "path": PATHS,
            "view_range": st.tuples(st.integers(0, 3), st.integers(-1, 5)).map(list),
        }
    ),
    st.fixed_dictionaries({"command": st.just("create"), "path": PATHS, "file_text": TEXTS}),
    st.fixed_dictionaries(
        {
            "command": st.just("str_replace"),
            "path": PATHS,
            "old_str": st.sampled_from(["one", "two", "tw", "absent", "\n"]),
            "new_str": st.sampled_from(["three", "", "a\nb"]),
        }
    ),
    st.fixed_dictionaries(
        {
            "command": st.just("insert"),
            "path": PATHS,
            "insert_line": st.integers(-1, 5),
            "insert_text": TEXTS,
        }
    ),
    st.fixed_dictionaries({"command": st.just("delete"), "path": PATHS}),
    st.fixed_dictionaries({"command": st.just("rename"), "old_path": PATHS, "new_path": PATHS}),
)
PHASES = [Phase.explicit, Phase.generate]  # shrinking takes minutes


def outcome(tool: Any, command: dict[str, Any]) -> str:
    """The tool's answer to a command, without the words that only one of the two compared tools
    has.
    """
    try:
        text = str(tool.call(command))
    except ToolError as error:
        text = "refused: " + str(error).removeprefix("Error: ")
    except (OSError, ValueError):  # the SDK's tool lets errors of the file system through
        return "refused"
    text = (
        text.replace(" and node_modules:", ":")
        .replace("range of lines of the file: [", "range [")
        .rstrip(".")
    )
    # Sizes of directories are those of a file system
    text = re.sub(r"(?m)^\S+\t(?=/memories\S*/?$)", "", text)
    return "refused" if text.startswith("refused: ") and "is a file" in text else text


def without_empty_directories(root: Path) -> None:
    """Remove directories without files below `root`, because the memory service has no empty
    directories.
    """
    for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


FILE_AS_DIRECTORY = [
    {"command": "create", "path": "/memories/d", "file_text": ""},
    {"command": "rename", "old_path": "/memories/absent", "new_path": "/memories/d/e"},
]


@example(commands=FILE_AS_DIRECTORY)
@given(commands=st.lists(COMMANDS, min_size=5, max_size=25))
@settings(max_examples=50, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
def test_the_memory_tool_answers_like_the_sdks_tool_for_files(
    url: str, tmp_path: Path, commands: list[dict[str, Any]]
) -> None:
    """For random commands the adapter gives the same answers and errors as the SDK's tool for local
    files.
    """
    files = BetaLocalFilesystemMemoryTool(str(tmp_path / uuid.uuid4().hex))
    with Remembrancer(url, namespace=f"n {uuid.uuid4()}") as memory:
        tool = MemoryTool(memory)
        for command in commands:
            if moves_into_itself(command):
                continue
            answer = outcome(tool, command)
            expected = outcome(files, command)
            # By the file system, which of several reasons may name another one
            if expected == "refused":
                answer = answer.partition(":")[0]
            assert answer == expected, command
            without_empty_directories(files.memory_root)


def moves_into_itself(command: dict[str, Any]) -> bool:
    """Whether the command renames a directory to a path below itself. The compared tools answer it
    differently.
    """
    return command["command"] == "rename" and f"{command['new_path']}/".startswith(
        f"{command['old_path']}/"
    )


OLD = "/memories/old/notes.md"
REFUSALS: list[tuple[dict[str, Any], str]] = [
    (
        {"command": "view", "path": "/memories/x"},
        "The path /memories/x does not exist. Please provide a valid path.",
    ),
    ({"command": "create", "path": OLD, "file_text": ""}, f"Error: File {OLD} already exists"),
    (
        {"command": "insert", "path": OLD, "insert_line": 9, "insert_text": ""},
        (
            "Error: Invalid `insert_line` parameter: 9. It should be within the range of lines "
            "of the file: [0, 3]"
        ),
    ),
    ({"command": "delete", "path": "/memories/x"}, "Error: The path /memories/x does not exist"),
    (
        {"command": "rename", "old_path": "/memories/x", "new_path": "/memories/y"},
        "Error: The path /memories/x does not exist",
    ),
    (
        {"command": "rename", "old_path": "/memories/old", "new_path": OLD},
        f"Error: The destination {OLD} already exists",
    ),
]


def test_answers_have_the_texts_of_anthropics_documentation(memory: Remembrancer) -> None:
    """Each command is answered word for word as in Anthropic's documentation."""
    tool = MemoryTool(memory)
    assert tool.to_dict() == {"type": "memory_20250818", "name": "memory"}

    def call(**command: Any) -> Any:
        return tool.call(command)

    created = call(command="create", path="/memories/notes.md", file_text="one\ntwo\n")
    assert created == "File created successfully at: /memories/notes.md"
    assert call(command="view", path="/memories") == (
        "Here're the files and directories up to 2 levels deep in /memories, excluding "
        "hidden items and node_modules:\n"
        "8B\t/memories\n8B\t/memories/notes.md"
    )
    assert call(command="view", path="/memories/notes.md", view_range=[2, 2]) == (
        "Here's the content of /memories/notes.md with line numbers:\n     2\ttwo"
    )
    assert call(command="str_replace", path="/memories/notes.md", old_str="two", new_str="2") == (
        "The memory file has been edited. Here is the snippet showing the change (with "
        "line numbers):\n"
        "     1\tone\n     2\t2\n     3\t"
    )
    inserted = call(
        command="insert", path="/memories/notes.md", insert_line=0, insert_text="zero\n"
    )
    assert inserted == "The file /memories/notes.md has been edited."
    assert call(
        command="rename", old_path="/memories/notes.md", new_path="/memories/old/notes.md"
    ) == ("Successfully renamed /memories/notes.md to /memories/old/notes.md")
    for command, message in REFUSALS:
        with pytest.raises(ToolError) as caught:
            tool.call(command)
        assert str(caught.value) == message
    assert call(command="delete", path="/memories/old") == "Successfully deleted /memories/old"


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/memories/../etc",
        "/memories/a/../../b",
        "/memories/%2e%2e/x",
        "/memories/..%2fx",
        "/memoriesx/a",
    ],
)
def test_paths_outside_the_directory_are_refused(memory: Remembrancer, path: str) -> None:
    """A path outside /memories is refused. This includes paths with `..`, plain or URL-encoded."""
    with pytest.raises(ToolError, match="memories"):
        MemoryTool(memory).call({"command": "create", "path": path, "file_text": "x"})


def test_many_files_are_listed_and_cleared(memory: Remembrancer) -> None:
    """All of 210 memory files are listed and deleted, although one API call returns fewer."""
    tool = MemoryTool(memory)
    for number in range(210):
        memory.items.put(("claude-memory",), f"f{number:03d}", {"text": "x"}, index=False)
    assert str(tool.call({"command": "view", "path": "/memories"})).count("\n") == 211
    assert tool.clear_all_memory() == "All memory cleared"
    assert str(tool.call({"command": "view", "path": "/memories"})).count("\n") == 1


def test_a_file_that_is_too_large_is_refused_with_a_reason(memory: Remembrancer) -> None:
    """Creating a file that is too large raises ToolError, whose text says why and is shown to
    Claude.
    """
    with pytest.raises(ToolError, match=r"value|bytes|large"):
        MemoryTool(memory).call(
            {"command": "create", "path": "/memories/a", "file_text": "x" * 1_100_000}
        )


def test_the_async_memory_tool_works_like_the_sync_one(url: str) -> None:
    """With the async tool, creating a file, creating it again (an error) and viewing it work as
    with the sync tool.
    """

    async def main() -> tuple[Any, Any]:
        async with AsyncRemembrancer(url, namespace=f"n {uuid.uuid4()}") as memory:
            tool = AsyncMemoryTool(memory)
            created = await tool.call(
                {"command": "create", "path": "/memories/a", "file_text": "x"}
            )
            with pytest.raises(ToolError, match="already exists"):
                await tool.call({"command": "create", "path": "/memories/a", "file_text": "x"})
            return created, await tool.call({"command": "view", "path": "/memories/a"})

    created, shown = asyncio.run(main())
    assert created == "File created successfully at: /memories/a"
    assert shown.endswith("     1\tx")


def test_memory_files_are_found_by_meaning(memory: Remembrancer) -> None:
    """Memory files are stored as items, so a search for a similar text finds them."""
    tool = MemoryTool(memory)
    tool.call(
        {
            "command": "create",
            "path": "/memories/pets.md",
            "file_text": "The cat sleeps on the sofa",
        }
    )
    tool.call(
        {
            "command": "create",
            "path": "/memories/work.md",
            "file_text": "Quarterly figures of the sales team",
        }
    )
    assert memory.items.search(query="a kitten naps on the couch").items[0].key == "pets.md"
