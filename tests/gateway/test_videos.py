"""Videos through OpenAI's SDK: made once, held while they run, settled once for what was delivered."""

import openai
import pytest

from tests.gateway.task_world import CENT, client_of, get, jobs, look_now, post, task_of, with_media
from tests.gateway.world import World, balance, charges, held, hold_of, log_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
PICTURE = b"\x89PNG" + b"p" * 3000


def test_a_video_through_the_sdk(world: World):
    """R052: created, polled, downloaded and deleted by the real SDK; charged for the seconds delivered."""
    with_media(world)
    person = world.person("5")
    _, clear = world.key(person)
    client = client_of(world, clear)
    video = client.videos.create_and_poll(
        model="demo-video", prompt="a house [[delivers 3.5]]", seconds="4", size="1280x720", poll_interval_ms=1100
    )
    assert (video.status, video.seconds, video.size, video.model) == ("completed", "3.5", "1280x720", "demo-video")
    assert video.id.startswith("video_")
    request_id = video.id.removeprefix("video_")
    row = log_of(request_id)
    assert (row.outcome, row.cost_nano, row.modality, row.media_ms, row.media_size) == ("ok", 35 * CENT, "video", 3500, "720p")
    (line,) = row.price_detail["lines"]
    assert (line["name"], line["count"], line["amount"]) == ("video", "3.5", "0.35")
    assert charges(request_id) == [35 * CENT]
    assert hold_of(request_id).state == "settled"
    assert (balance(person), held(person)) == (500 * CENT - 35 * CENT, 0)
    task = task_of(video.id)
    assert (task.state, task.cost_nano, task.item_count, task.delivered_ms) == ("completed", 35 * CENT, 1, 3500)
    assert task.parameters == {"seconds": 4, "size": "1280x720"}
    assert "house" not in str(vars(task))
    assert client.videos.download_content(video.id).read().startswith(b"\x00\x00\x00\x18ftypmp42")
    assert client.videos.download_content(video.id, variant="thumbnail").read().startswith(b"RIFFdemo")
    assert [one.id for one in client.videos.list()] == [video.id]
    assert client.videos.delete(video.id).deleted is True
    assert list(client.videos.list()) == jobs(world) == []
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(video.id)
    assert task_of(video.id).state == "completed"


def test_a_video_nobody_asks_after_is_settled_by_the_worker(world: World):
    with_media(world)
    person = world.person("5")
    _, clear = world.key(person)
    made = post(world, clear, "x [[polls 2]]", seconds="4", size="720x1280").json()
    assert (made["status"], held(person)) == ("queued", 40 * CENT)
    look_now(made["id"])
    assert (task_of(made["id"]).state, held(person)) == ("in_progress", 40 * CENT)
    look_now(made["id"])
    task = task_of(made["id"])
    assert (task.state, task.cost_nano, task.next_check_at) == ("completed", 40 * CENT, None)
    assert (balance(person), held(person)) == (460 * CENT, 0)
    look_now(made["id"])
    assert charges(task.pk.hex) == [40 * CENT]
    assert get(world, clear, "/" + made["id"]).json()["status"] == "completed"
    assert jobs(world)[0]["looks"] == 2
