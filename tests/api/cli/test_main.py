"""The command line over a real embedded store and the real encoder."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from api.cli.entry import application
from api.settings import settings_table
from tests.servers import free_ports

pytestmark = pytest.mark.slow

OUR_MEMBERS = (
    "hits",
    "profile",
    "weights",
    "degraded",
    "context",
    "items",
    "metadata",
    "ids",
    "counts",
    "reasons",
    "total",
    "results",
    "status",
    "checks",
    "as_of",
    "floor",
)
"""Names of the members that commands read of the service's answers."""

ROWS: list[dict[str, Any]] = [
    {"type": "semantic", "content": "The stock counter uses advisory locks.", "tags": ["db"]},
    {"type": "procedural", "content": "Deploy on Friday.", "steps": ["Tag.", "Push."]},
    {"type": "episodic", "content": "Ana reported a race in the stock counter."},
]


@pytest.fixture
def home(tmp_path: Path, onnx_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a test's files. The environment names a data directory in it and a prepared
    encoder.
    """
    monkeypatch.setenv("REMEMBRANCER_ENCODER_DIR", str(onnx_directory))
    monkeypatch.setenv("REMEMBRANCER_DATA_DIR", str(tmp_path / "data"))
    return tmp_path


@pytest.fixture
def elsewhere(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of another program, which answers every call with 200 and the JSON object of the
    parameter.
    """
    body = json.dumps(getattr(request, "param", {"hello": "world"})).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_DELETE = do_GET  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def call(*arguments: str, sent: str | None = None) -> Result:
    """Run `remembrancer ARGUMENTS` with `sent` as standard input, and return its result."""
    return CliRunner().invoke(application(*arguments[:1]), list(arguments), input=sent)


def as_json(*arguments: str) -> Any:
    """Run `remembrancer ARGUMENTS --json` and return the parsed output."""
    done = call(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_imported_rows_are_found(home: Path) -> None:
    """Imported rows are found by search and retrieve, with table and JSON output."""
    rows = home / "rows.jsonl"
    rows.write_text("\n".join(json.dumps(row) for row in ROWS))
    report = as_json("ingest", str(rows), "-n", "work")
    assert (report["read"], report["counts"]["stored"]) == (3, 3)
    assert as_json("ingest", str(rows), "-n", "work", "--no-resume")["counts"]["merged"] == 3
    hits = as_json(
        "search", "why advisory locks for the stock counter?", "-n", "work", "--top-k", "2"
    )["hits"]
    assert hits[0]["memory"]["content"] == ROWS[0]["content"]
    answer = as_json("retrieve", "stock counter", "-n", "work", "--budget", "200")
    assert answer["metadata"]["total_tokens"] <= 200
    assert "advisory locks" in answer["context"]
    table = call("search", "stock counter", "-n", "work", "--explain")
    assert (table.exit_code, "advisory" in table.stdout, "similarity" in table.stdout) == (
        0,
        True,
        True,
    )
    shown = call("retrieve", "stock counter", "-n", "work", "--budget", "200")
    assert (shown.exit_code, "budget" in shown.stdout, "advisory" in shown.stdout) == (
        0,
        True,
        True,
    )


def test_bad_row_is_listed_with_exit_code_1(home: Path) -> None:
    """An import stores the valid rows, names each invalid row by file and line, and exits with code
    1.
    """
    rows = home / "rows.jsonl"
    rows.write_text('{"type": "semantic", "content": "A fact."}\n{"type": "semantic"\n')
    done = call("ingest", str(rows), "-n", "work")
    assert done.exit_code == 1
    assert "rows.jsonl:2" in done.stdout.replace("\n", "")


def test_standard_input_can_be_imported(home: Path) -> None:
    """`remembrancer ingest -` reads the rows to import from standard input."""
    done = call(
        "ingest", "-", "-n", "work", "--format", "jsonl", "--json", sent=json.dumps(ROWS[0]) + "\n"
    )
    assert (home / "data").exists()
    assert json.loads(done.stdout)["counts"]["stored"] == 1


def test_doctor_passes_on_a_good_installation(home: Path) -> None:
    """`doctor` checks every part and reports no error."""
    answer = as_json("doctor", "--port", "0")
    assert answer["ok"], answer
    assert answer["checks"].keys() >= {
        "python",
        "disk",
        "keys",
        "models",
        "policies",
        "port",
        "tokenizers",
        "encoder",
        "store",
        "round trip",
    }
    assert (home / "data" / "memories").exists()


def test_doctor_reports_a_bad_keys_file(home: Path) -> None:
    """For an invalid keys file `doctor` prints the reason and exits with 1."""
    (home / "keys.json").write_text("[]")
    done = call("doctor", "--keys", str(home / "keys.json"), "--port", "0", "--json")
    check = json.loads(done.stdout)["checks"]["keys"]
    assert (done.exit_code, check["ok"], "has no keys" in check["detail"]) == (1, False, True)


@pytest.mark.parametrize(
    ("mode", "is_private"), [(0o600, True), (0o400, True), (0o640, False), (0o604, False)]
)
def test_doctor_reports_a_keys_file_that_others_can_read(
    home: Path, mode: int, *, is_private: bool
) -> None:
    """`doctor` fails if users other than the owner can read the keys file, and says how to change
    that.
    """
    file = home / "keys.json"
    file.write_text(json.dumps([{"key": "k" * 32, "tenant": "default", "role": "writer"}]))
    file.chmod(mode)
    done = call("doctor", "--keys", str(file), "--port", "0", "--json")
    check = json.loads(done.stdout)["checks"]["keys"]
    assert (done.exit_code == 0, check["ok"], f"chmod 600 {file}" in check["detail"]) == (
        is_private,
        is_private,
        not is_private,
    )


@pytest.mark.usefixtures("home")
def test_doctor_names_the_redis_server_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If Redis does not answer, `doctor` shows its address without the password."""
    (port,) = free_ports(1)
    monkeypatch.setenv("REMEMBRANCER_REDIS_URL", f"redis://:secret@127.0.0.1:{port}/0")
    done = call("doctor", "--port", "0", "--json")
    check = json.loads(done.stdout)["checks"]["live"]
    assert (done.exit_code, check["ok"], "secret" in done.output) == (1, False, False)
    assert (
        f"does a Redis or Valkey server run at 127.0.0.1:{port} (REMEMBRANCER_REDIS_URL)?"
        in check["detail"]
    )


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["search", " ", "-n", "work"], "query: must not be blank"),
        (["search", "x", "-n", "work", "--type", "luck"], "types[0]"),
        (["search", "x", "-n", "work", "--filters", "{"], "--filters is not JSON"),
        (
            ["search", "x", "-n", "work", "--filters", '{"importance": {"gte": NaN}}'],
            "--filters NaN is not JSON",
        ),
        (
            ["search", "x", "-n", "work", "--filters", "[" * 100_000],
            "--filters is nested too deeply",
        ),
        (["search", "\udcff", "-n", "work", "--url", "http://127.0.0.1:1"], "not valid Unicode"),
        (["search", "x", "-n", "work", "--key", "abc"], "--key goes with a service"),
        (
            ["search", "x", "-n", "work", "--url", "http://127.0.0.1:1", "--tenant", "t"],
            "leave out --tenant",
        ),
        (["ingest", "nowhere.jsonl", "-n", "work"], "nowhere.jsonl"),
        (["ingest", "", "-n", "work"], "at least one file or folder"),
        (["ingest", "a" * 300, "-n", "work"], "File name too long"),
        (["search", "x", "-n", "work", "--url", ""], "--url is empty"),
        (
            ["search", "x", "-n", "work", "--url", "http://127.0.0.1:1", "--key", "a\r"],
            "printable ASCII",
        ),
        (["import", "mem0", ".ruff_cache_of_nobody", "-n", "work"], "there is no file or folder"),
        (["import", "mem0", "-n", "work", "--url", ""], "--url is empty"),
        (["ingest", "-", "-n", "work", "--map", "text"], "FOREIGN=OURS"),
        (["serve", "--host", "0.0.0.0"], "loopback only"),  # noqa: S104 - it must refuse
        (["serve", "--keys", "/nowhere.json"], "cannot be read"),
        (["serve", "--port", "99999"], "REMEMBRANCER_PORT"),
    ],
)
def test_invalid_arguments_are_explained_with_exit_code_2(
    home: Path, arguments: list[str], why: str
) -> None:
    """For an invalid argument a command prints the reason without a traceback, exits with code 2
    and opens no store.
    """
    done = call(*arguments)
    assert done.exit_code == 2
    assert not (home / "data").exists()
    assert why in done.stderr
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["search", "x", "-n", "work"],
        ["retrieve", "x", "-n", "work"],
        ["jobs", "expire"],
        ["reembed"],
    ],
)
def test_a_command_that_reads_makes_no_store(home: Path, arguments: list[str]) -> None:
    """Where the data folder has no store, such as after a typing error, a reading command says so
    and makes none.
    """
    done = call(*arguments, "--data-dir", str(home / "typo"))
    assert (done.exit_code, (home / "typo").exists()) == (2, False)
    assert f"there is no store in {home / 'typo'}" in done.stderr


@pytest.mark.usefixtures("home")
def test_a_row_of_an_unknown_type_is_rejected_in_plain_words() -> None:
    """The reason why a row with an unknown type is rejected lists the types, without names of the
    program's classes.
    """
    done = call(
        "ingest",
        "-",
        "-n",
        "work",
        "--format",
        "jsonl",
        "--json",
        sent='{"content": "x", "type": "luck"}\n',
    )
    (problem,) = json.loads(done.stdout)["problems"]
    types = "episodic, semantic, prospective, procedural, working"
    assert problem["reason"].startswith(f"unknown type; known are {types} (the row has 'luck'); ")


@pytest.mark.usefixtures("home")
def test_unreachable_service_is_exit_code_1() -> None:
    """If the service at --url does not answer, the message contains the URL."""
    done = call("search", "x", "-n", "work", "--url", "http://127.0.0.1:1")
    assert (done.exit_code, "http://127.0.0.1:1 cannot be reached" in done.stderr) == (1, True)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "elsewhere",
    [
        {"hello": "world"},
        dict.fromkeys(OUR_MEMBERS, 7),
        {name: [7] for name in OUR_MEMBERS},
        dict.fromkeys(OUR_MEMBERS),
        {name: {"count": "many", "floor": []} for name in OUR_MEMBERS},
    ],
    indirect=True,
)
@pytest.mark.parametrize(
    "arguments",
    [
        ["search", "x", "-n", "work"],
        ["search", "x", "-n", "work", "--json"],
        ["retrieve", "x", "-n", "work"],
        ["jobs", "expire"],
        ["ingest", "-", "-n", "work", "--format", "text"],
        ["doctor", "--json"],
    ],
)
def test_another_program_at_the_url_is_named_as_the_fault(
    arguments: list[str], elsewhere: str
) -> None:
    """A command prints one line if --url names a program whose JSON lacks our members or gives them
    other types.
    """
    done = call(*arguments, "--url", elsewhere, sent="A note.")
    output = " ".join((done.stdout + done.stderr).split())
    assert (done.exit_code, "Traceback" in output) == (1, False), done.exception
    assert f"{elsewhere} answered JSON of another form (" in output
    assert "check that a Remembrancer service runs at this URL" in output


def test_jobs_run_on_all_namespaces_unless_one_is_given(home: Path) -> None:
    """A dry run of an upkeep job counts memories of all namespaces, or with -n of the given
    namespace only.

    It prints the id of each memory with the reason.
    """
    rows = home / "rows.jsonl"
    past = {"created_at": "2020-01-01T00:00:00Z", "type": "semantic"}
    rows.write_text(json.dumps({"content": "The kiln is lit on Fridays.", **past}))
    for namespace in ("one", "two"):
        as_json("ingest", str(rows), "-n", namespace)
    assert as_json("jobs", "forget", "--max-age-days", "30")["counts"]["removed"] == 2
    assert as_json("jobs", "forget", "--max-age-days", "30", "-n", "one")["counts"]["removed"] == 1
    (memory_id,) = as_json("jobs", "forget", "--max-age-days", "30", "-n", "one")["ids"]
    shown = call("jobs", "forget", "--max-age-days", "30", "-n", "one").stdout.splitlines()
    assert shown[1:] == [f"{memory_id}: older than 30 days"]


def test_the_embedded_store_has_tenants_and_no_limit_of_calls(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the embedded store a command may choose its tenant, and the rate limit does not apply."""
    monkeypatch.setenv("REMEMBRANCER_CALLS_PER_MINUTE", "1")
    (home / "rows.jsonl").write_text(json.dumps(ROWS[0]))
    assert (
        as_json("ingest", str(home / "rows.jsonl"), "-n", "work", "--tenant", "acme")["counts"][
            "stored"
        ]
        == 1
    )
    question = ("search", "advisory locks", "-n", "work")
    assert [len(as_json(*question, *tenant)["hits"]) for tenant in ((), ("--tenant", "acme"))] == [
        0,
        1,
    ]


def test_settings_command_prints_the_table_of_the_documentation() -> None:
    assert call("settings").stdout.strip() == settings_table()


def test_an_import_with_an_invalid_namespace_or_url_reads_no_rows(home: Path) -> None:
    rows = home / "rows.jsonl"
    rows.write_text("\n".join(json.dumps(row) for row in ROWS))
    for options, why in (
        (["-n", " x"], "namespace"),
        (["-n", "work", "--url", "localhost:1"], "--url localhost:1"),
    ):
        done = call("ingest", str(rows), *options)
        assert (done.exit_code, why in done.stderr, "rejected" in done.stdout) == (2, True, False)


def test_an_import_of_an_empty_folder_says_what_was_expected(home: Path) -> None:
    (home / "empty").mkdir()
    done = call(
        "import", "mem0", str(home / "empty"), "-n", "work", "--data-dir", str(home / "data")
    )
    assert (done.exit_code, "expected an export, as a JSON file" in done.stderr) == (2, True)


def test_an_error_of_the_operating_system_is_printed_with_exit_code_1(home: Path) -> None:
    """If a file cannot be opened, a command prints the system's error without a traceback and exits
    with code 1.
    """
    (home / "data" / "memories" / "engine.lock").mkdir(parents=True)
    done = call("reembed")
    assert (done.exit_code, "Is a directory" in done.stderr) == (1, True)
    assert "Traceback" not in done.output
