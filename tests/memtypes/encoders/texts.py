"""Sample texts of many kinds for the tests of encoders."""

from __future__ import annotations

VARIED = [
    "ok",
    "?",
    "See you tomorrow, then!",
    "git push --force-with-lease origin main",
    "The deploy failed because the migration locked the orders table for eleven minutes.",
    "20 January 2023 Friday Gina: I lost my job at the bank, so I am opening a shop of my own.",
    "def median(values): ordered = sorted(values); return ordered[len(ordered) // 2]",
    "Always run the type checker before pushing; the CI queue is slow on Mondays.",
    "Remind me to renew the certificate before the end of May.",
    "Wie wir gestern besprochen haben, ziehen wir die Daten nach Frankfurt um.",
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002\u4eca\u5929\u5929\u6c14\u5f88\u597d",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043a\u0430\u043a \u0434\u0435\u043b\u0430?",
    "\U0001f600 party at five \U0001f389",
    (
        "Postgres keeps old row versions until vacuum removes them, so a long transaction "
        "bloats the table. "
    )
    * 8,
    "one two three " * 400,
]
