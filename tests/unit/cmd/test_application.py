"""What the composition root puts around the API."""

import threading

import pytest
import webtest

from evacuator.cmd.application import part_of
from evacuator.rpc.outbox import Outbox
from evacuator.rpc.rush import Rush


@pytest.mark.parametrize(("method", "waits"), [("POST", True), ("PUT", True), ("DELETE", True), ("GET", False)])
def test_messages_wait_for_requests_that_change_something(method: str, waits: bool) -> None:
    rush, sent = Rush(), threading.Event()
    outbox = Outbox(rush=rush, patience=60)
    sent_before_the_answer = []

    def application(environ, start_response):
        outbox.put(sent.set)
        sent_before_the_answer.append(sent.wait(0.2 if waits else 5))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"done"]

    webtest.TestApp(part_of(rush, application)).request("/", method=method)

    assert sent_before_the_answer == [not waits]
    assert sent.wait(5)
    outbox.close()


def test_an_application_that_fails_holds_nothing_up() -> None:
    rush = Rush()

    def application(environ, start_response):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        webtest.TestApp(part_of(rush, application)).post("/")

    outbox, sent = Outbox(rush=rush, patience=60), threading.Event()
    outbox.put(sent.set)
    assert sent.wait(5)
    outbox.close()
