"""Sixty written texts, each with what is to be cut out of it: requests for later (R) and ways to do something (H)."""

from __future__ import annotations

TEXTS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "We met Ana on Monday. Remind me to call her tomorrow. To deploy: 1. build 2. push",
        (("R", "Remind me to call her tomorrow."), ("H", "To deploy: 1. build 2. push")),
    ),
    ("The oven broke again. Don't forget to order a new fuse.", (("R", "Don't forget to order a new fuse."),)),
    ("Remember to water the ferns on Friday", (("R", "Remember to water the ferns on Friday"),)),
    ("Set a reminder for 5pm: pick up Leo.", (("R", "Set a reminder for 5pm: pick up Leo."),)),
    ("Note to self: bring the blue folder.", (("R", "Note to self: bring the blue folder."),)),
    (
        "Lunch was great! Can you remind me to send Kim the photos?",
        (("R", "Can you remind me to send Kim the photos?"),),
    ),
    ("Please don't let me forget the keys. I am off now.", (("R", "Please don't let me forget the keys."),)),
    ("I must remember to pay the rent before the 3rd.", (("R", "I must remember to pay the rent before the 3rd."),)),
    (
        "Create a reminder to renew my passport in May. Thanks!",
        (("R", "Create a reminder to renew my passport in May."),),
    ),
    ("The call went well.\nRemind us to send the offer on Tuesday", (("R", "Remind us to send the offer on Tuesday"),)),
    ("Call the dentist on Monday, please.", (("R", "Call the dentist on Monday, please."),)),
    ("I still have to hand in the form by Thursday.", (("R", "I still have to hand in the form by Thursday."),)),
    ("Todo: fix the gate.", (("R", "Todo: fix the gate."),)),
    ("Wake me at six. The train leaves early.", (("R", "Wake me at six."),)),
    ("I'll send Bob the slides tomorrow.", (("R", "I'll send Bob the slides tomorrow."),)),
    (
        "To bake bread, first mix flour and water, then let it rest.",
        (("H", "To bake bread, first mix flour and water, then let it rest."),),
    ),
    (
        "To reset the router: 1. unplug it 2. wait a minute 3. plug it in",
        (("H", "To reset the router: 1. unplug it 2. wait a minute 3. plug it in"),),
    ),
    (
        "How to release:\n1. run the tests\n2. tag the commit\n3. push the tag",
        (("H", "How to release:\n1. run the tests\n2. tag the commit\n3. push the tag"),),
    ),
    (
        "Steps to restore the backup:\n- stop the service\n- copy the files\n- start it again\nIt worked last time.",
        (("H", "Steps to restore the backup:\n- stop the service\n- copy the files\n- start it again"),),
    ),
    (
        "Here's how to descale it: 1) fill it with vinegar 2) let it run. My aunt told me.",
        (("H", "Here's how to descale it: 1) fill it with vinegar 2) let it run"),),
    ),
    (
        "It rained. In order to close the tent, roll the door down and then pull the cord.",
        (("H", "In order to close the tent, roll the door down and then pull the cord."),),
    ),
    (
        "How we onboard: 1. make an account 2. invite them to the channel. Jo did it in an hour.",
        (("H", "How we onboard: 1. make an account 2. invite them to the channel"),),
    ),
    (
        "The steps for a refund:\n1. open the order\n2. press refund",
        (("H", "The steps for a refund:\n1. open the order\n2. press refund"),),
    ),
    (
        "To sharpen the knife: * wet the stone\n* draw the blade over it",
        (("H", "To sharpen the knife: * wet the stone\n* draw the blade over it"),),
    ),
    (
        "To water the garden, open the tap, then turn the left valve. Remind me to do it at eight.",
        (("H", "To water the garden, open the tap, then turn the left valve."), ("R", "Remind me to do it at eight.")),
    ),
    (
        "We deploy like this: build the image, push it, restart.",
        (("H", "We deploy like this: build the image, push it, restart."),),
    ),
    (
        "First chop the onions, then fry them, and add the rice at the end.",
        (("H", "First chop the onions, then fry them, and add the rice at the end."),),
    ),
    (
        "If the printer jams, open the back, pull the paper out and close it.",
        (("H", "If the printer jams, open the back, pull the paper out and close it."),),
    ),
    ("Run make build, then make push.", (("H", "Run make build, then make push."),)),
    ("Updating the site:\n1. pull\n2. run the build", (("H", "Updating the site:\n1. pull\n2. run the build"),)),
    ("We had dinner at the harbour and talked about her new job.", ()),
    ("It reminds me of the summer in Porto.", ()),
    ("Can you remind me what we decided about the roof?", ()),
    ("Remind me why we left the old supplier?", ()),
    ("I remember the house well.", ()),
    ("She always forgets to lock the door.", ()),
    ("He told me that he'd forgotten to call.", ()),
    ("My shopping list: 1. milk 2. eggs 3. bread", ()),
    ("To be honest, I liked it, then I got bored.", ()),
    ("I went to Rome, then to Naples.", ()),
    ("How do I deploy this: with make or by hand?", ()),
    ("Kim prefers tea, and Leo drinks coffee.", ()),
    ("The three reasons: 1. cost 2. time 3. noise", ()),
    ("To whom it may concern: 1. thanks 2. goodbye", ()),
    ("Our port is 8080 and the database runs on 5432.", ()),
    ("First we lost 2 to 1, then we won 3 to 0.", ()),
    ("Thanks a lot, that helped!", ()),
    ("Did you remember to feed the cat?", ()),
    ("What are the steps to become a pilot?", ()),
    ("The reminder rang twice this morning.", ()),
    ("I used to walk to school, then my brother bought a car.", ()),
    ("It costs 1.50 a piece. 2. would be too much.", ()),
    ("She said: to each their own.", ()),
    ("My plan for the year: - read more\n- sleep more", ()),
    ("We agreed on three things.\n- no calls on Friday\n- no mail at night", ()),
    ("The talk had two parts: 1. history 2. outlook", ()),
    ("To my surprise, he came in, then left without a word.", ()),
    ("I don't need a reminder, thanks.", ()),
    ("The meeting on Monday was moved.", ()),
    ("How was the trip to Oslo?", ()),
)
