"""What an administrator sets of readers' reports, and what is refused in words before anything starts."""

from __future__ import annotations

import pytest

from mailveil.config import load
from mailveil.config.values import SettingsError


def test_without_any_setting_there_is_no_page_and_no_mailbox() -> None:
    settings = load(environment={})
    assert (settings.feedback.mailbox, settings.report_page) == ("", "")


def test_the_page_is_below_the_name_by_which_readers_reach_it() -> None:
    settings = load(environment={"MAILVEIL_FEEDBACK__PUBLIC_URL": "https://Mail.Example.org:443/"})
    assert settings.report_page == "https://mail.example.org/report/"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("MAILBOX", "nobody", "one plain address"),
        ("MAILBOX", "a@b.example, c@d.example", "one plain address"),
        ("PUBLIC_URL", "https://mail.example.org/report", "scheme and host only"),
        ("PUBLIC_URL", "javascript:alert(1)", "scheme and host only"),
        ("PUBLIC_URL", "https://copies.example.org", "name of the copies' server"),
        ("PER_MINUTE", "0", "per_minute"),
    ],
)
def test_what_cannot_work_is_refused(name: str, value: str, words: str) -> None:
    environment = {
        f"MAILVEIL_FEEDBACK__{name}": value,
        "MAILVEIL_COPIES__PUBLIC_URL": "https://copies.example.org",
    }
    with pytest.raises(SettingsError, match=words):
        load(environment=environment)
