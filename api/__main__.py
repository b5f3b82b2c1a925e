import signal


def main() -> None:
    """Run `python -m api`. A Ctrl-C while it is loaded, which takes a second, ends it without a trace of imports."""
    heeded = signal.getsignal(signal.SIGINT)
    if heeded is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from api.cli import serve_main  # noqa: PLC0415 - what takes the second

    signal.signal(signal.SIGINT, heeded)
    serve_main()


main()
