"""An assistant's time in a session: one that fails is told of, leaves no half utterance, and another one is let in."""

import asyncio
import logging
from collections.abc import Callable

from server.conversation import Assistant
from server.dialogue import Dialogue

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
LASTING_S = 60.0  # an assistant that held that long failed by chance


async def assist(conversation: Dialogue, make: Callable[[], Assistant]) -> None:
    """Until the session ends, which cancels this."""
    pause_s, clock = FIRST_PAUSE_S, asyncio.get_running_loop().time
    while True:
        begun = clock()
        try:
            await make().converse(conversation)
        except Exception as error:  # the root of the assistant, which is not ours: it must not end the call
            log.exception("an assistant failed")
            conversation.report("assistant_failed", f"the assistant failed ({type(error).__name__}) and starts again")
        conversation.end_all()
        conversation.attend(None)
        pause_s = FIRST_PAUSE_S if clock() - begun > LASTING_S else min(2 * pause_s, LONGEST_PAUSE_S)
        await asyncio.sleep(pause_s)
