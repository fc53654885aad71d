"""A LiveKit agent with a face: it joins a room, and its participant publishes the portrait's picture and voice.

pip install "les-avatar[livekit]"
export LIVEKIT_URL=wss://... LIVEKIT_API_KEY=... LIVEKIT_API_SECRET=...
python docs/examples/livekit_avatar.py start        then join the room, with LiveKit's agents playground for instance

The three models are LiveKit Inference's, paid for by the same key; any plug-in's stand in their place as well.
"""

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, cli, room_io
from livekit.agents.voice.avatar import AvatarRunner, QueueAudioOutput

from server.bridges.livekit import AvatarGenerator
from server.bridges.studio import Studio

PORTRAIT, SIZE = "anna", 512

server = AgentServer()


@server.rtc_session()
async def converse(context: JobContext) -> None:
    studio = await Studio().__aenter__()
    generator = AvatarGenerator(await studio.open(PORTRAIT, size=SIZE), SIZE)
    speech = QueueAudioOutput(sample_rate=24_000, wait_playback_start=True)
    runner = AvatarRunner(context.room, audio_recv=speech, video_gen=generator, options=generator.options)

    async def leave() -> None:
        await runner.aclose()
        await generator.aclose()
        await studio.__aexit__(None, None, None)

    context.add_shutdown_callback(leave)
    await context.connect()
    await runner.start()
    session = AgentSession(stt="deepgram/nova-3", llm="openai/gpt-4.1-mini", tts="cartesia/sonic-3")
    session.output.audio = speech
    await session.start(
        Agent(instructions="You are a friendly person in a video call. Answer in one or two spoken sentences."),
        room=context.room,
        room_options=room_io.RoomOptions(audio_output=False),
    )
    await session.generate_reply(instructions="Greet the user.")


if __name__ == "__main__":
    cli.run_app(server)
