"""The marker of what has no JSON form, and what never gets into it."""

import os
import unittest
from unittest import mock

from hatchery.marker import marker, redact


class Opaque:
    def __init__(self, text=""):
        self.text = text

    def __repr__(self):
        if self.text is None:
            raise RuntimeError("no repr")
        return self.text


TYPE = f"{__name__}.Opaque"


def marked(value, **environment):
    with mock.patch.dict(os.environ, environment):
        made = marker(value)
    assert made.pop("__ffi_unserializable__") is True
    assert made.pop("__type__") == TYPE
    return made.get("__repr__")


class Detail(unittest.TestCase):
    def test_none_is_the_default_and_asks_for_no_repr(self):
        self.assertIsNone(marked(Opaque(None)))
        self.assertIsNone(marked(Opaque("a"), HATCHERY_UNSERIALIZABLE_DETAIL="loud"))

    def test_the_four_modes(self):
        value = Opaque("token='abc' " + "x" * 600)
        self.assertEqual(marked(value, HATCHERY_UNSERIALIZABLE_DETAIL="type"), f"<unserializable {TYPE}>")
        truncated = marked(value, SNAKEPIT_UNSERIALIZABLE_DETAIL="repr_truncated")
        self.assertEqual((len(truncated), truncated[:12]), (500, "token='abc' "))
        redacted = marked(value, HATCHERY_UNSERIALIZABLE_DETAIL="repr_redacted_truncated")
        self.assertTrue(redacted.startswith("token='[REDACTED]' x"), redacted)

    def test_the_variable_of_hatchery_wins(self):
        both = {"HATCHERY_UNSERIALIZABLE_DETAIL": "none", "SNAKEPIT_UNSERIALIZABLE_DETAIL": "type"}
        self.assertIsNone(marked(Opaque("a"), **both))

    def test_lengths(self):
        for text, length in (("10", 10), ("-5", 0), ("99999", 2000), ("many", 500), ("2", 2)):
            made = marked(Opaque("x" * 3000), HATCHERY_UNSERIALIZABLE_DETAIL="repr_truncated",
                          HATCHERY_UNSERIALIZABLE_REPR_MAXLEN=text)  # fmt: skip
            self.assertEqual(len(made), length, text)

    def test_a_secret_is_redacted_before_the_text_is_cut(self):
        made = marked(Opaque("password='" + "s" * 400 + "'"), HATCHERY_UNSERIALIZABLE_DETAIL="repr_redacted_truncated",
                      HATCHERY_UNSERIALIZABLE_REPR_MAXLEN="15")  # fmt: skip
        self.assertNotIn("sss", made)

    def test_a_repr_that_raises(self):
        self.assertIn("failed", marked(Opaque(None), HATCHERY_UNSERIALIZABLE_DETAIL="repr_truncated"))


class Redaction(unittest.TestCase):
    SECRET = "S3cr3tV4lue99"

    def test_spellings(self):
        for text in (
            "Authorization: Bearer {}", "{{'Authorization': 'Bearer {}'}}", '{{"authorization":"Bearer {}"}}',
            "authorization=Basic {}", "('Authorization', 'Bearer {}')", "Bearer {}", "bearer {}", "sk-{}abc", "sk-proj-{}",
            "api_key='{}'", 'api_key="{}"', "{{'api_key': '{}'}}", '{{"apiKey":"{}"}}', "API-KEY = '{}'", "token='{}'",
            "access_token: '{}'", "client_secret='{}'", "DB_PASSWORD='{}'", "{{'password': b'{}'}}", "{{\\'password\\': \\'{}\\'}}",
            "passwd='{}", "secret=\"a b {} c\"", "OPENAI_API_KEY='{}'", "'{{\"token\": \"{}\"}}'", "token = u'{}'",
            "dict(token='it\"s {}')",
        ):  # fmt: skip
            written = text.format(self.SECRET)
            with self.subTest(written):
                self.assertNotIn(self.SECRET, redact(written))
                self.assertIn("[REDACTED]", redact(written))

    def test_what_is_no_secret_stays(self):
        for text in ("tokens=5", "sk-short", "name='password'", "Model(size=3, kind='a')"):
            with self.subTest(text):
                self.assertEqual(redact(text), text)

    def test_what_stands_around_a_secret_stays(self):
        self.assertEqual(redact("Client(api_key='abc', size=3)"), "Client(api_key='[REDACTED]', size=3)")


if __name__ == "__main__":
    unittest.main()
