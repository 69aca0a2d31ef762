"""What must not be published: the forms of secrets, the names of hosts, and that both readers of files see them."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest

from recipegen.hub.scan import scan
from recipegen.results.leaks import PIECE, Look, find_leak
from recipegen.results.scrub import HIDDEN, Identity, find_secret, hide_secrets

VALUE = "q7" + "Zk" * 6  # put together, so that no scanner finds it here


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {VALUE}",
        "Authorization: Bearer " + "onlyletters",
        f"authorization: Basic {VALUE}==",
        f"AUTHORIZATION: {VALUE}",
        f'"Authorization": "Bearer {VALUE}"',
        "-----BEGIN " + "PRIVATE KEY-----",
        "-----BEGIN OPENSSH " + "PRIVATE KEY-----",
        f"vllm serve x --api-key {VALUE} --port 1",
        f"--api-key={VALUE}",
        f"--hf-token '{VALUE}'",
        f"export OPENAI_API_KEY={VALUE}",
        f'HF_TOKEN="{VALUE}"',
        f'{{"HF_TOKEN": "{VALUE}"}}',
        f"AWS_SECRET_ACCESS_KEY={VALUE}",
        f"DB_PASSWORD: {VALUE}",
    ],
)
def test_a_secret_tells_by_what_stands_before_it(tmp_path: Path, text: str) -> None:
    log = tmp_path / "server.log"
    log.write_text(f"ready\n{text}\nend\n")
    leak = find_leak(log, Identity(), names=True)
    assert leak is not None
    assert (leak.line, leak.what) == (2, "a token")
    assert scan(log, Identity()).secrets == (f"{log}:2",)
    assert VALUE not in hide_secrets(text)
    assert HIDDEN in hide_secrets(text)
    assert not find_secret(hide_secrets(text)) or "KEY-----" in text


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer $OPENAI_API_KEY",
        "Authorization: Bearer <hidden>",
        "authorization is needed: see the page",
        "-----BEGIN CERTIFICATE-----",
        "--api-key ${VLLM_API_KEY} --port 8000",
        "--api-key EMPTY",
        "--api-key=<hidden>",
        "--max-num-batched-tokens 16384000",
        "--token-file /run/secrets/board1234",
        "HF_TOKEN=${HF_TOKEN}",
        "HF_TOKEN=<hidden>",
        "HF_TOKEN: a variable of the caller",
        '"HF_TOKEN": null',
        "EOS_TOKEN = 151645123",
        "MAX_TOKENS=1234567890",
        "PYTHONUNBUFFERED=1",
    ],
)
def test_places_of_secrets_without_one_are_none(text: str) -> None:
    assert not find_secret(text)
    assert hide_secrets(text) == text
    assert find_leak(text.encode(), Identity(), names=True) is None


def test_what_stays_of_a_hidden_secret_says_where_it_stood() -> None:
    assert hide_secrets(f"a HF_TOKEN={VALUE} b") == f"a HF_TOKEN={HIDDEN} b"
    assert hide_secrets(f"--api-key {VALUE}") == f"--api-key {HIDDEN}"


@pytest.mark.parametrize("name", ["spark-one", "SPARK-ONE", "Spark-One"])
def test_a_host_in_capitals_is_the_same_host(name: str) -> None:
    who = Identity(hosts=("spark-One",))
    assert who.found_in(f"listening on {name}:8000")
    assert who.clean(f"on {name}:8000") == "on <host>:8000"
    leak = find_leak(f"a\nb {name}\n".encode(), who, names=True)
    assert leak is not None
    assert (leak.line, leak.is_name) == (2, True)
    assert find_leak(name.encode(), who, names=False) is None


def test_every_line_is_told_once_and_long_ones_are_read_whole() -> None:
    text = f"HF_TOKEN={VALUE}\nplain\n{'x ' * (PIECE // 2 - 8)}HF_TOKEN={VALUE} {'y ' * PIECE}\nown-secret-1\n"
    found = list(Look(Identity(secrets=("own-secret-1",))).leaks(BytesIO(text.encode())))
    assert [(leak.line, leak.what) for leak in found] == [
        (1, "a token"),
        (3, "a token"),
        (4, "a secret of this environment"),
    ]
