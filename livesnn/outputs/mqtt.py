"""MQTT: the decision, every line of JSON, and whether livesnn is there, by way of a broker."""

from __future__ import annotations

import logging
import os
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aiomqtt

from livesnn.console import sayable
from livesnn.errors import SourceError, reason_of
from livesnn.files import refuse_pipe
from livesnn.outputs.decisions import DecisionFeeds, decided
from livesnn.outputs.loop import OutputLoop

ANSWER_S = 2.0  # The broker has so long to connect and to confirm a message.
KEPT_ALIVE_S = 5  # After half as long again without a sign of life, the broker says that livesnn is offline.

TOPIC = "livesnn"
_REFUSED = (134, 135)  # the broker's reasons for a wrong user or password; paho's own codes have no value


@dataclass(frozen=True)
class Broker:
    """Where messages go: ``topic`` is in front of each topic's name; ``tls``: encrypted.

    ``ca`` is a PEM file with the certificates that are trusted; None: the system's.
    """

    host: str
    port: int
    topic: str = TOPIC
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca: Path | None = None

    def encryption(self) -> ssl.SSLContext | None:
        """Return what encrypts and checks who answers; None: nothing does. Raises SourceError."""
        if not self.tls:
            return None
        try:
            if self.ca is not None:
                refuse_pipe(self.ca)
            return ssl.create_default_context(cafile=self.ca)
        except OSError as error:
            raise SourceError(
                f"--mqtt-ca {self.ca} can't be used ({reason_of(error)}): give a PEM file of certificates"
            ) from error

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def parse_broker(url: str, ca: Path | None = None) -> Broker:
    """Read ``mqtt[s]://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC]``. Raises SourceError, which doesn't say the password.

    Without them in it, user and password are LIVESNN_MQTT_USER and LIVESNN_MQTT_PASSWORD of the environment.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or {"mqtt": 1883, "mqtts": 8883}[parts.scheme]
        if not parts.hostname or "?" in url or "#" in url:
            raise ValueError
    except (KeyError, ValueError) as error:
        raise SourceError("--mqtt: give the broker as mqtt://HOST:PORT, or mqtts://USER@HOST:PORT/TOPIC") from error
    topic = unquote(parts.path).strip("/") or TOPIC
    if re.search(r"[+#\x00-\x1f\x7f]", topic) or topic.startswith("$"):
        raise SourceError(f"--mqtt: the topic can't be {topic!r}: leave out + and #, and $ at its start")
    user = unquote(parts.username) if parts.username else os.environ.get("LIVESNN_MQTT_USER")
    password = unquote(parts.password) if parts.password else os.environ.get("LIVESNN_MQTT_PASSWORD")
    if any(text is not None and sayable(text) != text for text in (topic, user, password)):
        raise SourceError("--mqtt: topic, user or password has octets that aren't UTF-8: give others")
    broker = Broker(parts.hostname, port, topic, user, password if user else None, parts.scheme == "mqtts", ca)
    if ca is not None and not broker.tls:
        raise SourceError("--mqtt-ca is for encrypted connections: write mqtts:// instead of mqtt://")
    broker.encryption()  # before a model is loaded in vain
    return broker


class MqttOutput:
    """Publishes to a broker, and connects again whenever that is gone. What it can't send meanwhile is left out.

    ``TOPIC/status``, retained: online or offline. ``TOPIC/decision``: the class, or nothing, when that changes
    (QoS 1). ``TOPIC/lines``: what programs get by TCP (QoS 0).
    """

    def __init__(self, loop: OutputLoop, broker: Broker, decisions: DecisionFeeds) -> None:
        self.name = f"decisions to {broker}"
        self._broker, self._decisions = broker, decisions
        loop.start(self)

    async def run(self, ready: Callable[[], None]) -> None:
        """Publish until the feed ends. Raises SourceError where broker and livesnn don't trust one another."""
        try:
            await self._publish(ready)
        except aiomqtt.MqttCodeError as error:
            if getattr(error.rc, "value", None) not in _REFUSED:
                raise ConnectionError(reason_of(error)) from error
            raise SourceError(f"{self._broker} refuses the user: give USER:PASSWORD in front of @") from error
        except aiomqtt.MqttError as error:
            if not isinstance(refused := error.__context__, ssl.SSLCertVerificationError):
                raise ConnectionError(reason_of(error)) from error
            raise SourceError(
                f"{self._broker} isn't trusted ({refused.verify_message}): check its certificate and the clock, or "
                "give its certificate authority's certificate as --mqtt-ca FILE"
            ) from error

    async def _publish(self, ready: Callable[[], None]) -> None:
        broker = self._broker
        status, topic, lines = (f"{broker.topic}/{name}" for name in ("status", "decision", "lines"))
        client = aiomqtt.Client(
            broker.host,
            broker.port,
            username=broker.user,
            password=broker.password,
            tls_context=broker.encryption(),
            will=aiomqtt.Will(status, "offline", qos=1, retain=True),
            keepalive=KEPT_ALIVE_S,
            timeout=ANSWER_S,
            max_queued_incoming_messages=1,  # a broker that sends unasked fills no memory
            logger=logging.Logger("mqtt", logging.CRITICAL + 1),  # the loop says what goes wrong
        )
        async with client:
            with self._decisions.programs.join(str(broker)) as receiver:  # now, so that nothing old waits
                await client.publish(status, "online", qos=1, retain=True)
                ready()
                last: str | None = None
                told = False
                while (message := await receiver.next()) is not None:
                    decision = decided(message, last)
                    if not told or decision != last:
                        await client.publish(topic, (decision or "").encode(errors="replace"), qos=1)
                    last, told = decision, True
                    await client.publish(lines, message.octets.rstrip(b"\n"))
                await client.publish(status, "offline", qos=1, retain=True)
