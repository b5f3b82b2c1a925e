"""Made-up secrets, joined from parts at run time so that no scanner takes this file for a leak."""

from __future__ import annotations

import base64

_LETTERS = "aB3dE5fG7hJ9kL2mN4pQ6rS8tU1vW0xY"


def filler(length: int, start: int = 0) -> str:
    """A text of letters and digits with this length. The same arguments give the same text."""
    return "".join(_LETTERS[(start + index * 7) % len(_LETTERS)] for index in range(length))


def secrets() -> list[tuple[str, str]]:
    """Pairs of kind and secret, for every built-in kind but aws_secret."""
    dash = "-" * 5
    part = ["ey" + "J" + filler(18), "ey" + "J" + filler(24, 3), filler(30, 5)]
    block = (
        f"{dash}BEGIN RSA PRIVATE{' '}KEY{dash}\n{filler(64)}\n{filler(40)}\n{dash}END RSA "
        f"PRIVATE KEY{dash}"
    )
    return [
        ("email", "nora.lind" + "@" + "example.com"),
        ("email", "ops+alerts" + "@" + "mail.example.co.uk"),
        ("phone", "+44 20 7946" + " 0958"),
        ("phone", "(555) 123" + "-4567"),
        ("phone", "+1-202-555" + "-0143"),
        ("card", "4111 1111" + " 1111 1111"),
        ("card", "5555555555" + "554444"),
        ("card", "3782 822463" + " 10005"),
        ("iban", "DE89 3704 0044" + " 0532 0130 00"),
        ("iban", "GB82WEST1234" + "5698765432"),
        ("aws_key", "AK" + "IA" + "Q7ZT5MNOPQRSTUVW"),
        ("github_token", "gh" + "p_" + filler(36)),
        ("github_token", "github" + "_pat_" + filler(60)),
        ("gitlab_token", "gl" + "pat-" + filler(20)),
        ("slack_token", "xo" + "xb-" + "123456789012-" + filler(24)),
        ("stripe_key", "sk" + "_live_" + filler(24)),
        ("openai_key", "sk" + "-proj-" + filler(40)),
        ("openai_key", "sk" + "-" + filler(48)),
        ("google_key", "AI" + "za" + filler(35)),
        ("package_token", "np" + "m_" + filler(36)),
        ("sendgrid_key", "SG" + "." + filler(22) + "." + filler(40, 2)),
        ("telegram_token", "123456789" + ":AA" + filler(33)),
        ("cloud_token", "dop" + "_v1_" + "ab12" * 16),
        ("jwt", ".".join(part)),
        ("private_key", block),
        ("azure_key", "AccountKey" + "=" + filler(60) + "=="),
        ("bearer_token", "Bearer " + filler(32)),
        ("basic_credentials", "Basic " + base64.b64encode(b"nora:tulip-93-lake").decode()),
        ("password", "password: " + "tulip93!lake"),
        ("password", "api_key=" + filler(20)),
        ("url_password", "postgres://" + "shop:tulip93lake" + "@db.internal:5432/shop"),
        ("service_token", "lin" + "_api_" + filler(40)),
        ("token", "kst" + "_live_" + filler(40, 9)),
        ("recovery_code", "backup codes: " + "8f3k-22mz p0q9-77ax"),
        ("pin", "PIN " + "90241"),
        ("pin", "alarm" + "code: " + "77120"),
        ("url_password", "db.example.net:5432:ledger:reader:" + "tulip93!lake"),
        ("service_token", "Cookie: PHPSESSID=" + filler(26)),
        ("token", "APP_KEY=base64:" + filler(43) + "="),
        ("token", "echo '" + filler(40) + "' | tool login"),
        ("password", "palavra-passe: " + "tulip93!lake"),
        ("password", "le code wifi est " + "tulip93!lake"),
        ("national_id", "SSN 168-71" + "-4994"),
        ("slack_webhook", "https://hooks.slack.com/services/" + "T00AB12/B00CD34/" + filler(24)),
    ]


SENTENCES = (
    "Nora wrote that {} is the one to use.",
    "We agreed on this in the meeting: {}",
    "{} was in the log this morning, and nobody knows why.",
    "Please keep this for later ({}) and tell the others.",
    "config:\n  value: {}\n  retries: 3",
)

HARMLESS = (
    "The release 2.14.3 went out on 2026-11-20 at 14:05 and took 45 minutes.",
    "Please call her on 2027-03-01, or call him at 01.02.2027 12:30.",
    "Commit 9fceb02d0ae598e95dc970b74767f19372d61af8 broke the build.",
    "Trace 550e8400-e29b-41d4-a716-446655440000 shows the slow call.",
    "The gateway is 192.168.178.1 and the pool starts at 10.0.12.100.",
    "Order 4500123456 was shipped with tracking number 1234567890123.",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "The meeting is on 01/02/2026 from 10:30 to 11:45 in room 204.",
    "Ticket 555-123-4567 is closed, and so is invoice no. 2026-000123.",
    "Clone git@github.com:acme/shop.git and run make test.",
    "Population grew by +120000 to 3,456,789 between 1990 and 2020.",
    "ISBN 978-3-16-148410-0 is the book that Tom recommended.",
    "The password is kept in the vault, ask Paula for access.",
    "Set the api_key = os.environ['SHOP_KEY'] before you start it.",
    "Use password: <your-password> in the example and never a real one.",
    "The bearer of good news was Tim, who passed the exam.",
    "Card number 1234 5678 9012 3456 is the one from the manual.",
    "The timestamp 1763640000000 is in milliseconds since 1970.",
    "Coordinates 52.520008, 13.404954 are in the middle of Berlin.",
    "Use logo@2x.png for dense screens and getty@tty1.service for consoles.",
    "Prices rose from 1.234,56 to 2.345,67 within 12 months.",
    "The secret: always measure twice and cut once.",
    "UUID v4 has 122 random bits; 2^122 is about 5.3e36.",
    "Alice likes tea",
    "MAC 00:1A:2B:3C:4D:5E answers on port 8080, version 10.15.7 (19H2).",
    "Die Sitzung ist am 03.12.2026 um 09:15 Uhr, Raum 3.07.",
    "Basic knowledge of statistics is enough for chapter 12.",
    "token count: 1234567, context window 200000, temperature 0.7",
    "See https://example.com/a/b?id=12345678901&x=1#part for details.",
    "pod shop-7d9f8b6c5d-x2x4z restarted 12 times in 24 hours",
    "We sold 4111 pieces in 1111 shops, 1111 of them new.",
    "Call him at noon, or write by 5 pm on 12 May 2026.",
    "import { Button } from '@acme/ui' and not from '@acme/old-ui'",
    "Le code wifi est sur le frigo, la palavra-passe expira amanhã.",
    "registry.example.net:5000:web:2.9.1 was pulled twice, see src/main.go:12:4:error:unused",
    "echo 'hello' | tee login.log; PHPSESSID and JSESSIONID are set by the server.",
    "The wallet phrase belongs on paper, and the door code 4471 changes in May.",
)
PLACES = (
    "",
    "Note from Tom: ",
    "In the log of 2026-11-19 08:12:44 it says: ",
    "As agreed, ",
    "Fact 12 of 40. ",
)


LABELLED = (
    ("The wifi password at my parents' place is:", "BlauerElefant77" + "!x"),
    ("Password for the staging admin account:", "zK9#mm" + "2Lpw4e"),
    ("**Wifi password (guest network):**", "Lampe!Regal" + "#204"),
    ("The API key for the weather service:", "7f9c2ba4e88f827d" + "616045507605853e"),
    ("Das Passwort vom Hafenportal lautet", "Matrose-Kompass" + "-58"),
    ("Das Passwort vom Hafenportal ist:", "Matrose-Kompass" + "-58"),
    ("Le mot de passe du portail est :", "Go\u00e9land-Rocher" + "-62"),
    ("La contrase\u00f1a del router es:", "Pulpo-Faro" + "-83"),
    ("La password del router \u00e8:", "Gatto-Luna" + "-29"),
    ("Het wachtwoord van de NAS is:", "Molen-Kaas" + "-47"),
    ("The PIN of the alarm is:", "4471"),
    ("My phone number is:", "0176 12" + "34567"),
    ("Social security number:", "168-71" + "-4994"),
    ("The 2FA setup key for Hetzner is:", "JBSW Y3DP" + " EHPK 3PXP"),
    ("Recovery codes for my GitHub account:", "8f3a1-c09de" + " 77b2e-41aac"),
    (
        "My recovery phrase is",
        "velvet orbit crane maple thunder sketch" + " lunar pioneer candle ribbon forest oxygen",
    ),
)
"""Pairs of a label and its secret value."""

HARMLESS_LABELS = (
    "Password rules for the portal:\n- at least 12 characters, one of them a digit",
    "The password for the guest network:\nsame as last year, see the card behind the router 2",
    "The password of the NAS is:\n\nkept in the vault under infra/nas-2, ask Paula",
    (
        "How to rotate the API key of the weather service:\n1. Open "
        "https://console.example.net/keys2\n2. Press Rotate."
    ),
    "API keys for the weather service:\nwe have three of them, one per region",
    "Token for the CI:\n- created 2026-05-02\n- scope repo:read",
    "The token for the CI runner is:\nvalid until 2026-12-31T23:59:00Z",
    (
        'The token is checked here:\n```python\nif not request.headers.get("X-Api-Key"):\n    '
        "raise Missing(401)\n```"
    ),
    "Read the API key like this:\n```bash\nexport API_KEY=$(op read op://Infra/weather/key)\n```",
    'We load the secret from the environment:\nsecret = os.environ["APP_SECRET_2"]',
    "password:\n  min_length: 12\n  rotate_after: 90d",
    "secrets:\n  provider: vault-v2\n  path: kv2/orders-db",
    "The commit that fixed the password reset is:\n9fceb02d0ae598e95dc970b74767f19372d61af8",
    "The ticket for the leaked token is:\nOPS-2214",
    (
        "The tests of the password reset are:\ntests/auth/test_reset_v2.py and "
        "tests/auth/test_login2.py"
    ),
    "Passwords are hashed with:\nargon2id, m=65536, t=3, p=4",
    "The model of the token counter is:\n\ngpt-4o-mini-2024-07-18",
    "The password field in the form is:\n#login-password-2",
    "The login for the portal is\nhttps://portal.example.net/login?next=%2Fhome2",
    "The PIN for the garage was changed on:\n2026-11-20",
    "PIN changes:\n2026-11-20 card, 2026-11-22 phone",
    "I need a new PIN because:\n2 cards were stolen in 2025",
    "Recovery codes for my GitHub account:\nprinted on paper, in the drawer since 2024-05-01",
    "The recovery phrase of my wallet is\non paper, and my sister has the second half of it",
    "The random seed is:\n```python\ntorch.manual_seed(20261120)\n```",
    "Das Passwort ist:\nmindestens 12 Zeichen lang, mit 2 Ziffern",
    (
        "Le mot de passe du portail est :\nrenouvel\u00e9 tous les 90 jours par le service "
        "informatique"
    ),
    "La contrase\u00f1a del router es:\nla misma que antes, preg\u00fantale a Eva (sala 3B)",
    "The phone number is:\nchanged since 2026-01-03",
    "Passport:\nrenew it before 2027-03-01, office at Room 204",
    "## Password manager\n\nBitwarden2",
    "## Password policy\n\nv3.2.1",
    "## Database password rotation\n\n2026-11-20",
    "## API key\n\nSee vault/infra/weather-2",
    "## Token usage\n\n128k",
    "## Tokens\n\n- gpt-4o-mini: 128000\n- claude-3-5: 200000",
    "## Passwords\n\n- min 12 characters\n- 2 digits\n- no reuse in 365 days",
    "## Login\n\nhttps://portal.example.net/login2",
    "# Authentication\n\nOAuth2",
    "## Secrets\n\nvault-v2",
    "## Secret management\n\n- HashiCorp-Vault\n- SOPS3\n- age-1.1.1",
    "## Credentials\n\n~/.aws/credentials2",
    "### Token types\n- JWT\n- OAuth2\n- SAML2",
    "Passwords\n- changed 2026-05-02\n- next change 2026-11-02",
    "tokens:\n- input: 1234567\n- output: 98765",
    "API keys\n\n- weather: kept in 1Password\n- maps: kept in 1Password",
    "keys:\n- Ctrl+Shift+P\n- F12\n- Alt+F4",
    "## Key bindings\n\nCtrl+K",
    "## Keys\n\n- user_id\n- order_id2\n- created_at",
    "## Password reset\n\nOPS-2214",
    "## Password reset commits\n\n- 9fceb02\n- 8d3c1a7f",
    "## Password hash\n\nargon2id",
    "## Password reset\n\n9fceb02d0ae598e95dc970b74767f19372d61af8",
    "## Token service\n\n550e8400-e29b-41d4-a716-446655440000 is the trace of the outage",
    "## Releases\n\n- 2.14.3\n- 2.15.0-rc1\n- v3.0.0",
    (
        "## Commits\n\n- 9fceb02d0ae598e95dc970b74767f19372d61af8\n- "
        "1c0ffee4a1e598e95dc970b74767f19372d61af8"
    ),
    (
        "## Request ids\n\n- 550e8400-e29b-41d4-a716-446655440000\n- "
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
    ),
    "## Files\n\n- secrets_2.py\n- password_reset_v2.py\n- tokens-2026.csv",
    "## Passwort\n\nsiehe Zettel 12",
    "## Passw\u00f6rter\n\n- alle 90 Tage \u00e4ndern\n- mindestens 12 Zeichen",
    "## Mot de passe\n\nvoir 1Password",
    "## Contrase\u00f1as\n\n- m\u00ednimo 12 caracteres\n- sin nombres",
    "passwords:\n- length >= 12\n- rotate_after: 90d",
    (
        "secrets:\n  - name: DB_PASSWORD\n    from: kv2/orders-db\n  - name: API_KEY\n    "
        "from: kv2/weather"
    ),
    "## Database password\n\nThe password was changed on 2026-11-20 by Tom (ticket OPS-12).",
    "## Wifi password\n\n2 people asked for it: Nora and Tom.",
    "## Password tests\n\ntest_login2",
    "## API token\n\nscope: repo:read",
    "## PIN codes\n\n4 digits each",
    "## Credentials team\n\n- Nora2\n- Tom\n- Paula",
    "## Token counter\n\ntiktoken0.7",
    "## Two passwords fields\n\n#login-password-2",
    "## Access tokens\n\n15 min",
    "## Access tokens\n\nTTL=3600s",
    "## Secret Santa 2026\n\n- Nora -> Tom\n- Tom -> Paula",
    "## Password library\n\nzxcvbn@4.4.2",
    "## JWT secret\n\n$JWT_SECRET_2",
    "passwords.py\ntokens.py\nhashing2.py",
    "Files with tokens\n- src/auth/token2.ts\n- src/auth/login.ts",
    "Servers and passwords\n- db-01\n- db-02\n- web-03",
    "## Passkey\n\niPhone15",
    "## Master password\n\nasked Nora, she's back on 12/05",
    "## Passwords of db-01\n\nin the vault",
    "keys:\n- Ctrl+Alt+T\n- Shift+F10",
    "## JWT secret\n\n$SHOP_JWT_SECRET_V3",
    "## Credentials\n\n~/.config/tool3",
    "## Password library\n\npasslib==1.7.4",
    "## Login action\n\nacme/login-action@v3",
)
"""Texts in which the line after a label is no secret."""

HEADED = (
    ("## Database password\n\n{}", ["hunter2" + "secret99"]),
    ("## Database password\n\n{}", ["zK9#mm" + "2Lpw4e"]),
    ("# Wifi password\n\n{}\n\nFor guests.", ["Lampe!R" + "egal204"]),
    ("### Admin password\n\n`{}`", ["tulip9" + "3!lake"]),
    ("## Staging admin password\n\n- {}", ["zK9#mm" + "2Lpw4e"]),
    ("## API key\n\n{}", ["7f9c2ba4e88f827d" + "616045507605853e"]),
    ("## Weather API key\n\n```\n{}\n```", ["7f9c2ba4e88f827d" + "616045507605853e"]),
    ("Database password\n\n{}", ["tulip9" + "3lake!7"]),
    ("Wifi password (guest network)\n\n{}", ["Lampe!R" + "egal#204"]),
    ("passwords:\n- {}\n- {}", ["aB3x" + "K9pQ2", "xY7m" + "N4rT6"]),
    (
        "passwords:\n- {}\n- {}\n- {}\n- {}",
        ["aB3x" + "K9pQ2", "xY7m" + "N4rT6", "Matrose-K" + "ompass-58", "q9W!" + "er55"],
    ),
    ("Passwords\n\n* {}\n* {}", ["aB3x" + "K9pQ2", "xY7m" + "N4rT6"]),
    ("passwords:\n  db: {}\n  mail: {}", ["aB3x" + "K9pQ2", "xY7m" + "N4rT6"]),
    ("passwords:\n- db: {}\n- mail: {}", ["aB3x" + "K9pQ2", "xY7m" + "N4rT6"]),
    ("My passwords are:\n1. {}\n2. {}", ["aB3x" + "K9pQ2", "xY7m" + "N4rT6"]),
    ("## Passwords\n\n- mail: {}\n- bank: {}", ["aB3x" + "K9pQ2", "xY7mN" + "4rT6!"]),
    ("tokens:\n- {}\n- {}", ["k3J9dLq0Z" + "xT7vB2nM5", "r8W2yPfH6" + "cQ1sD4gA0"]),
    (
        "API keys\n- {}\n- {}",
        ["7f9c2ba4e88f827d" + "616045507605853e", "0a1b2c3d4e5f6071" + "8293a4b5c6d7e8f9"],
    ),
    ("## Passwort Datenbank\n\n{}", ["Matrose-K" + "ompass-58"]),
    ("## Datenbankpasswort\n\n{}", ["Matrose-K" + "ompass-58"]),
    ("## Passw\u00f6rter\n\n- {}\n- {}", ["Somme" + "r2026!", "Winte" + "r#2025"]),
    ("## Mot de passe\n\n{}", ["Goeland-" + "Rocher-62"]),
    ("Contrase\u00f1as:\n- {}\n- {}", ["Pulpo-" + "Faro-83", "Luna*V" + "erde19"]),
    ("## Wachtwoord NAS\n\n{}", ["Molen-" + "Kaas-47"]),
    ("## \u30d1\u30b9\u30ef\u30fc\u30c9\n\n{}", ["Sakura" + "#2026x"]),
    ("**Password**\n\n{}", ["zK9#mm" + "2Lpw4e"]),
    ("Password\n========\n\n{}", ["zK9#mm" + "2Lpw4e"]),
    ("Password\n--------\n{}", ["zK9#mm" + "2Lpw4e"]),
    ("## Root password of db-01\n\n{}", ["zK9#mm" + "2Lpw4e"]),
    ("## Client secret\n\n{}", ["Qx~8Q~aB3dE5fG7h" + "J9kL2mN4pQ6rS8tU"]),
    ("## Secret key\n\n{}", ["x9Kd02LmQp" + "7ZtR4vB8nW"]),
    ("## Passphrase\n\n{}", ["correct7hor" + "se_battery!"]),
    ("secrets:\n- {}\n- {}", ["x9Kd02LmQp" + "7ZtR4vB8nW", "Zt7Rk2Wq9X" + "n4Bv6Lm1Pd"]),
    ("old and new password:\n{}\n{}", ["tulip9" + "3!lake", "rose84" + "!river"]),
    (
        "Passwords for the lab machines:\n\n{}\n{}\n{}",
        ["aB3x" + "K9pQ2", "xY7m" + "N4rT6", "pL0w" + "K8sJ5"],
    ),
    ("wifi passwords:\n- guest {}\n- office {}", ["Lampe!R" + "egal#204", "Tisch+" + "Stuhl99"]),
    ("credentials:\n  user: nora\n  password: {}\n  old: {}", ["aB3x" + "K9pQ2", "xY7m" + "N4rT6"]),
    ("## Credentials\n\nuser: nora\npass: {}", ["aB3x" + "K9pQ2"]),
    ("### Router login\n\nadmin / {}", ["zK9#mm" + "2Lpw4e"]),
    ("## Redis password\n\n{}", ["zK9#mm" + "2Lpw4e"]),
    ("## Session secret\n\n{}", [filler(42) + "="]),
    ("Mots de passe wifi :\n- salon : {}\n- cave : {}", ["Pomm" + "ier!72", "Cell" + "ier#31"]),
    ("pwds:\n- {}\n- {}", ["aB3x" + "K9pQ2", "xY7m" + "N4rT6"]),
)
"""Pairs of a text with headings or lists, with a {} for each secret, and the secrets."""


def labelled() -> list[tuple[str, str | None]]:
    """300 texts, each with the secret that it contains, or None."""
    with_secret = [
        (sentence.format(secret), secret) for _, secret in secrets() for sentence in SENTENCES
    ]
    without: list[tuple[str, str | None]] = [
        (place + text, None) for text in HARMLESS for place in PLACES
    ]
    return [*with_secret[:150], *without[:150]]
