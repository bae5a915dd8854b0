"""Where the client looks for a daemon."""

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

from hatchery.client import errors, record
from hatchery.client.address import Address, Whereabouts, parse

HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def held(path):
    """Another process has the lock on the file, as the daemon has."""
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout.readline() == b"held\n"
        yield
        holder.stdin.close()


@contextlib.contextmanager
def surroundings(configuration=None, **variables):
    """A folder, made the current one, and nothing but these variables in the environment."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, variables, clear=True):
        os.chdir(folder)
        try:
            if configuration is not None:
                with open("hatchery.toml", "w", encoding="utf-8") as file:
                    file.write(configuration)
            yield os.path.realpath(folder)
        finally:
            os.chdir(before)


class Addresses(unittest.TestCase):
    def test_a_daemon_has_a_host_and_a_port_or_a_path(self):
        for text, expected, shown in (
            ("127.0.0.1:7411", Address("127.0.0.1", 7411), "http://127.0.0.1:7411"),
            ("http://LOCALHOST:1/", Address("localhost", 1), "http://localhost:1"),
            ("localhost:80", Address("localhost", 80), "http://localhost:80"),
            ("http://[::1]:80", Address("::1", 80), "http://[::1]:80"),
            ("https://example.org", Address("example.org", 443, True), "https://example.org:443"),
            ("https://example.org:8443", Address("example.org", 8443, True), "https://example.org:8443"),
            ("unix:/run/h.sock", Address(path="/run/h.sock"), "unix:/run/h.sock"),
            ("unix:///run/h.sock", Address(path="/run/h.sock"), "unix:/run/h.sock"),
        ):
            with self.subTest(text):
                self.assertEqual((parse(text), str(parse(text))), (expected, shown))

    def test_anything_else_is_refused(self):
        for text in ("localhost", "http://localhost", "ftp://h:1", "localhost:x", "a@localhost:1", "localhost:1/path", "h:1?q", "unix:here",
                     "http://h:99999", "é:1", "h\r\nx:1"):  # fmt: skip
            with self.subTest(text), self.assertRaisesRegex(errors.ValidationError, "^expected the address of a daemon"):
                parse(text)

    def test_what_is_said_beats_the_variable_and_that_the_data_directory(self):
        with surroundings(HATCHERY_ADDR="h:1") as folder:
            self.assertEqual(Whereabouts("g:2").address(), Address("g", 2))
            self.assertEqual(Whereabouts().address(), Address("h", 1))
            with self.assertRaisesRegex(errors.Unavailable, f"no daemon is running with the data directory {folder}; start one with "):
                Whereabouts(data_dir=folder).address()
        with surroundings(HATCHERY_ADDR="nonsense"), self.assertRaisesRegex(errors.ValidationError, "^HATCHERY_ADDR: expected"):
            Whereabouts()


class Records(unittest.TestCase):
    def write(self, folder, value):
        path = os.path.join(folder, record.FILE)
        with open(path, "w", encoding="utf-8") as file:
            file.write(value if isinstance(value, str) else json.dumps(value))
        return path

    def test_a_record_counts_as_long_as_its_daemon_holds_it(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertIsNone(record.find(folder))
            path = self.write(folder, {"address": "127.0.0.1:1", "pid": 1, "version": "0.1.0"})
            self.assertIsNone(record.find(folder))
            with held(path):
                self.assertEqual(record.find(folder), record.Record("127.0.0.1:1"))
                self.assertEqual(Whereabouts(data_dir=folder).address(), Address("127.0.0.1", 1))
            self.assertIsNone(record.find(folder))

    def test_its_socket_comes_first(self):
        with tempfile.TemporaryDirectory() as folder:
            with held(self.write(folder, {"address": "127.0.0.1:1", "socket": "/run/h.sock"})):
                self.assertEqual(Whereabouts(data_dir=folder).address(), Address(path="/run/h.sock"))

    def test_it_says_whether_to_speak_tls(self):
        with tempfile.TemporaryDirectory() as folder, held(self.write(folder, {"address": "[::1]:1", "socket": None, "tls": True})):
            self.assertEqual(Whereabouts(data_dir=folder).address(), Address("::1", 1, True))

    def test_one_that_is_not_written_yet_is_none(self):
        for text in ("", "{", "[]", "{}", '{"address": 3}'):
            with tempfile.TemporaryDirectory() as folder, held(self.write(folder, text)):
                self.assertIsNone(record.find(folder))

    def test_asking_takes_no_lock(self):
        with tempfile.TemporaryDirectory() as folder:
            path = self.write(folder, {"address": "127.0.0.1:1"})
            record.find(folder)
            with held(path), open(path, "r+") as file, self.assertRaises(OSError):
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Folders(unittest.TestCase):
    def place(self, configuration=None, **variables):
        with surroundings(configuration, **variables) as folder:
            return record.usual_data_dir().replace(folder, "HERE")

    def test_data_lies_where_the_nearest_word_says(self):
        file = '[instance]\nname = "shop" # ours\ndata_dir = "data"\n[server]\nlisten = "x"\n'
        home = {"XDG_STATE_HOME": "/s", "HOME": "/h"}
        for configuration, variables, expected in (
            (file, {"HATCHERY_DATA_DIR": "/d", **home}, "/d"),
            (file, {"HATCHERY_DATA_DIR": "d"}, "HERE/d"),
            (file, home, "HERE/data"),
            (file, {"HATCHERY__INSTANCE__DATA_DIR": "other", **home}, "HERE/other"),
            ('[instance]\nname = "shop"\n', home, "/s/hatchery/shop"),
            ("[instance]\nname = 'a shop'\ntoken = 'job/7'\n", home, "/s/hatchery/a_shop__job_7"),
            ('[instance]\nname = "shop"\n', {"HATCHERY__INSTANCE__NAME": "job", "HATCHERY__INSTANCE__TOKEN": "", **home}, "/s/hatchery/job"),
            ('[[pools]]\nname = "not this"\n', home, "/s/hatchery/default"),
            (None, {"XDG_STATE_HOME": "s", "HOME": "/h"}, "/h/.local/state/hatchery/default"),
            (None, {}, f"/tmp/hatchery-{os.getuid()}/default"),
        ):
            with self.subTest(configuration=configuration, variables=variables):
                self.assertEqual(self.place(configuration, **variables), expected)

    def test_an_older_python_reads_the_same(self):
        for text, expected in (
            ('[instance]\nname = "a"\ntoken = \'b\'\n[server]\nname = "c"\n', {"name": "a", "token": "b"}),
            ('name = "x"\n[ instance ] # here\n  data_dir = "d" # there\n', {"data_dir": "d"}),
            ("[[pools]]\nname = 'x'\n", {}),
        ):
            self.assertEqual(record._plain_table(text), expected)


if __name__ == "__main__":
    unittest.main()
