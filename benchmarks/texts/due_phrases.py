"""A hundred ways to say when something is due, each with the time that is meant.

Said on Wednesday, 4 March 2026 at 11:00 in Berlin, where summer time begins on 29 March. A day without a time of day is
meant at 09:00, the end of a period at 17:00; only the day is compared where the phrase names no more than a day.
"""

from __future__ import annotations

PHRASES = """
remind me to call Ann tomorrow at 3pm | 2026-03-05 15:00
tomorrow at 15:30 send the report | 2026-03-05 15:30
water the plants tomorrow morning | 2026-03-05 09:00
tomorrow | 2026-03-05
pick up the kids today at 4 pm | 2026-03-04 16:00
call mum tonight | 2026-03-04 20:00
call mum at 8 tonight | 2026-03-04 20:00
finish this today | 2026-03-04
noon tomorrow, lunch with Lee | 2026-03-05 12:00
the day after tomorrow at noon | 2026-03-06 12:00
day after tomorrow | 2026-03-06
in two weeks | 2026-03-18
review the contract in 2 weeks | 2026-03-18
in a week | 2026-03-11
in three days at 8am | 2026-03-07 08:00
in 90 minutes | 2026-03-04 12:30
in half an hour check the oven | 2026-03-04 11:30
in an hour | 2026-03-04 12:00
in an hour and a half | 2026-03-04 12:30
in one and a half hours | 2026-03-04 12:30
in 2 hours and 15 minutes | 2026-03-04 13:15
in a couple of days | 2026-03-06
in a few days | 2026-03-07
in a couple of hours | 2026-03-04 13:00
in 1.5 hours | 2026-03-04 12:30
set a reminder for 10 minutes from now | 2026-03-04 11:10
two days from now | 2026-03-06
a week from today | 2026-03-11
two weeks from friday | 2026-03-20
a week from tomorrow | 2026-03-12
in a month renew the passport | 2026-04-04
in six months | 2026-09-04
in a year | 2027-03-04
in two weeks' time | 2026-03-18
in 45 mins | 2026-03-04 11:45
in twenty minutes | 2026-03-04 11:20
in a fortnight | 2026-03-18
next Friday | 2026-03-06
next Friday at 5pm | 2026-03-06 17:00
on Friday | 2026-03-06
by Friday noon | 2026-03-06 12:00
this Friday at 10:15 | 2026-03-06 10:15
Monday at 9:30 am | 2026-03-09 09:30
next Monday at 9 | 2026-03-09 09:00
on Wednesday | 2026-03-11
coming Sunday at 7 in the evening | 2026-03-08 19:00
Thursday evening | 2026-03-05 18:00
5pm on Tuesday | 2026-03-10 17:00
at 10 on Saturday | 2026-03-07 10:00
Monday next week | 2026-03-09
Friday next week at 2pm | 2026-03-13 14:00
next week | 2026-03-11
next month | 2026-04-04
next year | 2027-03-04
this weekend | 2026-03-07
next weekend | 2026-03-14
end of month | 2026-03-31 17:00
by the end of the month | 2026-03-31 17:00
end of next month | 2026-04-30 17:00
end of the week | 2026-03-06 17:00
by end of day | 2026-03-04 17:00
send it by EOD | 2026-03-04 17:00
end of the quarter | 2026-03-31 17:00
end of the year | 2026-12-31 17:00
on 5 May at noon | 2026-05-05 12:00
5 May | 2026-05-05
May 5th | 2026-05-05
on the 5th of May | 2026-05-05
the 3rd of May, 2027 | 2027-05-03
March 3 2027 at 5:30 pm | 2027-03-03 17:30
on March 25th at 3:00 pm | 2026-03-25 15:00
Jan 5 | 2027-01-05
pay the rent on 1 April at 08:00 | 2026-04-01 08:00
December 24th in the evening | 2026-12-24 18:00
on 12 Sept at 6pm | 2026-09-12 18:00
February 28 | 2027-02-28
2026-05-01 | 2026-05-01
2026-05-01 at 14:00 | 2026-05-01 14:00
on the 15th | 2026-03-15
the 1st | 2026-04-01
the 4th | 2026-04-04
the 10th of next month | 2026-04-10
the 31st at midnight | 2026-04-01 00:00
at 3pm | 2026-03-04 15:00
at 10am | 2026-03-05 10:00
5:30pm call the bank | 2026-03-04 17:30
at noon | 2026-03-04 12:00
at midnight | 2026-03-05 00:00
at 7 | 2026-03-04 19:00
at 23:15 | 2026-03-04 23:15
half past four | 2026-03-04 16:30
quarter to 6 tomorrow | 2026-03-05 17:45
wake me at 6 a.m. | 2026-03-05 06:00
8 o'clock tomorrow | 2026-03-05 08:00
this afternoon | 2026-03-04 15:00
this evening at 7:30 | 2026-03-04 19:30
on 29 March at 9am | 2026-03-29 09:00
buy milk before the shop closes |
think about the may be nice idea |
add 3 apples to the list |
""".strip()


def phrases() -> list[tuple[str, str]]:
    """Each phrase with the local time that is meant: day and time, the day alone, or nothing."""
    pairs = (line.rpartition("|") for line in PHRASES.splitlines())
    return [(words.strip(), meant.strip()) for words, _, meant in pairs]
