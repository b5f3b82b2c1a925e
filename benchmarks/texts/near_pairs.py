"""Written pairs of statements that say the same, and of those that don't though they look alike."""

from __future__ import annotations

SAME: tuple[tuple[str, str], ...] = (
    ("I'm allergic to nuts.", "I am allergic to nuts"),
    ("The shop doesn't open on Sundays", "The shop does not open on Sundays."),
    ("Ann prefers the window seat, always.", "Ann prefers the window seat always"),
    ("The meeting room is on the third floor!", "Meeting room is on the third floor"),
    ("Bob's editor is Vim - not Emacs.", "Bob's editor is Vim, not Emacs"),
    ("We're using the blue theme; it's the default", "We are using the blue theme, it is the default."),
    ("\u201cDune\u201d is Kim's favourite book.", 'Kim\'s favourite book is "Dune"'),
    (
        "Audrey's dogs are all mutts, two of them Jack Russell mixes",
        "Audrey's dogs are mutts; two are Jack Russell mixes",
    ),
    ("Gina lost her job at Door Dash", "Gina was let go by Door Dash"),
    ("Kim drinks her coffee without sugar", "Kim takes no sugar in her coffee"),
    ("The build takes about ten minutes", "A build lasts roughly ten minutes"),
    ("Please remember that Leo hates olives", "Leo hates olives"),
)

DIFFERENT: tuple[tuple[str, str], ...] = (
    ("Ann met Bob at the station", "Bob met Ann at the station"),
    ("Ann is a vegetarian and lives with her sister", "Ann is a former vegetarian and lives with her sister"),
    ("Kim lived in Paris with her two brothers", "Kim lives in Paris with her two brothers"),
    ("The walls of the nursery upstairs are painted green", "The walls of the nursery upstairs are painted blue"),
    ("The review is on Monday at the usual place", "The review is on Tuesday at the usual place"),
    ("The review is on 5 May at the usual place", "The review is on 6 May at the usual place"),
    ("the backup runs every monday at night", "the backup runs every tuesday at night"),
    ("ann pays the rent for the flat", "rob pays the rent for the flat"),
    ("The pump must not be switched off at night", "The pump must be switched off at night"),
    ("Turn left after the bridge and park by the mill", "Turn right after the bridge and park by the mill"),
    ("The order was shipped before it was paid", "The order was paid before it was shipped"),
    ("Is the tea green?", "The tea is green."),
    ("The limit is 1,000 requests a minute", "The limit is 10,000 requests a minute"),
    ("Plan A is ready to be signed", "Plan B is ready to be signed"),
)
