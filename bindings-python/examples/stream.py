"""Shows what several payloads write while they run, with asyncio."""

import asyncio

from pinfold import AsyncSandbox


async def follow(box, name):
    async with box.spawn(["sh", "-c", f"for n in 1 2 3; do echo {name} $n; sleep 0.1; done; echo done >&2"]) as process:
        async for event in process:
            print(f"{event.stream}: {event.data.decode().strip()}")
        return await process.wait()


async def main():
    box = AsyncSandbox(timeout=30)
    outcomes = await asyncio.gather(*(follow(box, name) for name in ("one", "two")))
    print([outcome.detail for outcome in outcomes])


if __name__ == "__main__":
    asyncio.run(main())
