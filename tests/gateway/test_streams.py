"""The reader of streams, cut at every place a network may cut."""

import orjson
import pytest

from gateway.contract.endpoints import ENDPOINTS
from gateway.relay.readers import reader_for
from gateway.relay.sse import StreamReader

HEAD = {"id": "a", "object": "chat.completion.chunk", "model": "served-name"}


def event(choices: list[dict[str, object]], **more: object) -> bytes:
    return b"data: " + orjson.dumps({**HEAD, "choices": choices, **more}) + b"\n\n"


def say(text: str) -> bytes:
    return event([{"index": 0, "delta": {"content": text}, "finish_reason": None}])


USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
STOP = event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
ONLY_USAGE = event([], usage=USAGE)
DONE = b"data: [DONE]\n\n"
WHOLE = event([{"index": 0, "delta": {"role": "assistant"}}]) + say("Hallo ") + say("Wörld 世界") + STOP + ONLY_USAGE + DONE


@pytest.mark.parametrize("strip", [True, False])
def test_a_stream_cut_at_any_byte_gives_the_same_answer(strip: bool):
    wanted = WHOLE.replace(ONLY_USAGE, b"") if strip else WHOLE
    for place in range(len(WHOLE) + 1):
        reader = StreamReader(strip_usage=strip)
        out = reader.feed(WHOLE[:place]) + reader.feed(WHOLE[place:]) + reader.rest()
        assert out == wanted, place
        assert (reader.usage, reader.served_model, reader.is_complete) == (USAGE, "served-name", True)
        assert reader.counted_output() == 3 + 3


def test_byte_by_byte_and_with_other_line_ends():
    reader = StreamReader(strip_usage=True)
    crlf = WHOLE.replace(b"\n\n", b"\r\n\r\n")
    out = b"".join(reader.feed(crlf[n : n + 1]) for n in range(len(crlf))) + reader.rest()
    assert out == WHOLE.replace(ONLY_USAGE, b"")
    assert (reader.usage, reader.is_complete) == (USAGE, True)


def test_a_usage_in_the_last_choice_is_read_and_passed():
    reader = StreamReader(strip_usage=True)
    last = event([{"index": 0, "delta": {}, "finish_reason": "stop"}], usage=USAGE)
    assert reader.feed(say("a") + last + DONE) == say("a") + last + DONE
    assert reader.usage == USAGE


def test_comments_pass_and_say_nothing():
    reader = StreamReader(strip_usage=True)
    assert reader.feed(b": still here\n\n") == b": still here\n\n"
    assert (reader.events, reader.has_output) == (0, False)


def test_an_error_inside_a_stream_is_kept_back():
    reader = StreamReader(strip_usage=False)
    reader.feed(say("a"))
    reader.feed(b'data: {"error": {"message": "inner address http://10.0.0.1"}}\n\n')
    assert reader.error is not None
    assert not reader.is_complete


def test_tool_calls_and_reasoning_are_output():
    call = {"tool_calls": [{"index": 0, "function": {"name": "look", "arguments": "{}"}}]}
    for delta in (call, {"reasoning_content": "hm"}, {"content": None, "refusal": "no"}):
        reader = StreamReader(strip_usage=True)
        reader.feed(event([{"index": 0, "delta": delta}]))
        assert reader.has_output, delta
        assert reader.counted_output() > 0


def test_what_is_no_event_breaks_the_stream():
    for wrong in (b"data: <html>\n\n", b"data: [1]\n\n"):
        reader = StreamReader(strip_usage=True)
        reader.feed(wrong)
        assert reader.is_broken
        assert not reader.is_complete


def test_an_end_without_a_word_of_end_is_a_cut():
    reader = StreamReader(strip_usage=True)
    reader.feed(say("a"))
    assert not reader.is_complete
    reader.feed(STOP)
    assert reader.is_complete


def named(event: dict[str, object]) -> bytes:
    return f"event: {event['type']}\ndata: ".encode() + orjson.dumps(event) + b"\n\n"


RESPONSE_USAGE = {"input_tokens": 9, "output_tokens": 4, "input_tokens_details": {"cached_tokens": 2}}
RESPONSES = b"".join(
    map(
        named,
        [
            {"type": "response.created", "response": {"model": "served-name", "usage": None, "error": None}},
            {"type": "response.output_text.delta", "delta": "Hallo Wörld"},
            {"type": "response.completed", "response": {"model": "served-name", "usage": RESPONSE_USAGE}},
        ],
    )
)
START_USAGE = {"input_tokens": 7, "output_tokens": 1, "cache_read_input_tokens": 2}
MESSAGES = b"".join(
    map(
        named,
        [
            {"type": "message_start", "message": {"model": "served-name", "usage": START_USAGE}},
            {"type": "ping"},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hallo Wörld"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}},
            {"type": "message_stop"},
        ],
    )
)  # fmt: skip


@pytest.mark.parametrize(("path", "whole"), [("/v1/responses", RESPONSES), ("/v1/messages", MESSAGES)])
def test_newer_dialects_cut_at_any_byte_give_the_same_answer(path: str, whole: bytes):
    for place in range(len(whole) + 1):
        reader = reader_for(ENDPOINTS[path], strip_usage=False)
        out = reader.feed(whole[:place]) + reader.feed(whole[place:]) + reader.rest()
        assert out == whole, place
        tokens = reader.tokens()
        assert tokens is not None
        assert (tokens.input, tokens.cached, tokens.output, tokens.source) == (9, 2, 4, "upstream")
        assert (reader.served_model, reader.is_complete) == ("served-name", True)


def test_a_message_that_stops_early_keeps_its_input_and_counts_its_output():
    reader = reader_for(ENDPOINTS["/v1/messages"], strip_usage=False)
    reader.feed(MESSAGES[: MESSAGES.index(b"event: message_delta")])
    tokens = reader.tokens()
    assert tokens is not None
    assert (tokens.input, tokens.cached, tokens.output, tokens.source) == (9, 2, 4, "estimated")
    assert not reader.is_complete


@pytest.mark.parametrize("strip", [True, False])
def test_what_comes_before_a_broken_event_goes_on_and_nothing_behind_it(strip: bool):
    reader = StreamReader(strip_usage=strip)
    assert reader.feed(say("a") + b"data: <html>\n\n" + say("b") + ONLY_USAGE) == say("a")
    assert (reader.is_broken, reader.counted_output(), reader.usage) == (True, 1, None)


def test_pictures_and_failed_responses_in_streams():
    reader = reader_for(ENDPOINTS["/v1/images/generations"], strip_usage=False)
    reader.feed(named({"type": "image_generation.partial_image", "b64_json": "eA=="}))
    assert (reader.has_output, reader.is_complete, reader.images) == (True, False, 0)
    reader.feed(named({"type": "image_generation.completed", "b64_json": "eA==", "usage": RESPONSE_USAGE}))
    assert (reader.is_complete, reader.images, reader.tokens().output) == (True, 1, 4)
    reader = reader_for(ENDPOINTS["/v1/responses"], strip_usage=False)
    assert reader.feed(named({"type": "response.failed", "response": {"error": {"message": "x"}}})) == b""
    assert reader.is_over
