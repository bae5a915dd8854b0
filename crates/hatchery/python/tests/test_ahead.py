"""What a template does once for all workers: the code of the app, compiled before they are there."""

import os
import subprocess
import sys
import tempfile
import unittest

PACKAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


class CompiledAhead(unittest.TestCase):
    def run_with(self, *sources):
        """What a process prints that compiles the first ahead, and then runs each that is there in turn."""
        with tempfile.TemporaryDirectory() as folder:
            script = f"""if True:
                import os, sys
                sys.path.insert(0, {PACKAGE!r})
                from hatchery import app
                path = os.path.join({folder!r}, "tools.py")
                def write(text):
                    with open(path, "w") as file:
                        file.write(text)
                for number, source in enumerate({sources!r}):
                    write(source)
                    if number == 0:
                        app.compile_ahead(path)
                    app._import_file(path)
                    sys.modules.pop("tools")
            """
            done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
            return done.stdout, done.stderr

    def test_the_code_is_that_of_the_file_as_it_is(self):
        out, err = self.run_with("print('first')", "print('another')", "print('another')")
        self.assertEqual((out, err), ("first\nanother\nanother\n", ""))

    def test_a_file_that_is_no_program_is_said_by_who_runs_it(self):
        out, err = self.run_with("print(")
        self.assertEqual(out, "")
        self.assertIn("_import_file", err)
        self.assertIn("SyntaxError", err)

    def test_it_is_compiled_once(self):
        compiled = """if True:
            import builtins, sys, tempfile, os
            sys.path.insert(0, {!r})
            from hatchery import app
            count, compiles = [], builtins.compile
            builtins.compile = lambda *a, **k: count.append(a[1]) or compiles(*a, **k)
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "tools.py")
                open(path, "w").close()
                app.compile_ahead(path)
                app._import_file(path)
            print(sum(name == path for name in count))
        """.format(PACKAGE)
        done = subprocess.run([sys.executable, "-c", compiled], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout, "1\n")


if __name__ == "__main__":
    unittest.main()
