//! The lines of a file or of stdin, read by a thread: a read from a terminal or a pipe ends when it likes, and the command
//! must be able to end before.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use hatchery::{Error, ErrorKind, Result};
use tokio::sync::mpsc;

/// The longest line, as on the wire.
const LONGEST: usize = 64 * 1024 * 1024;

/// How many lines are read ahead.
const AHEAD: usize = 16;

/// One line that is not blank.
#[derive(Debug)]
pub(crate) struct Line {
    /// Its number among those that are not blank, from 0.
    pub(crate) number: u64,
    /// Its number in the file, from 1.
    pub(crate) in_file: u64,
    /// Where it ends, in bytes.
    pub(crate) up_to: u64,
    pub(crate) text: std::result::Result<Vec<u8>, TooLong>,
}

/// The line was skipped.
#[derive(Debug)]
pub(crate) struct TooLong;

impl std::fmt::Display for TooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "longer than {} MiB", LONGEST >> 20)
    }
}

/// The lines, one after another.
#[derive(Debug)]
pub(crate) struct Input {
    lines: mpsc::Receiver<io::Result<Line>>,
    name: String,
    length: Option<u64>,
}

impl Input {
    /// Opens the file, or stdin for `-`, and begins to read ahead.
    pub(crate) fn open(path: &Path) -> Result<Input> {
        if path == Path::new("-") {
            return Input::read("stdin".into(), None, io::stdin());
        }
        let name = path.display().to_string();
        let file = File::open(path).map_err(|why| failed(&name, &why))?;
        let length = file.metadata().ok().filter(|facts| facts.is_file()).map(|facts| facts.len());
        Input::read(name, length, file)
    }

    fn read(name: String, length: Option<u64>, source: impl Read + Send + 'static) -> Result<Input> {
        let (sender, lines) = mpsc::channel(AHEAD);
        let thread = std::thread::Builder::new().name("input".into());
        thread.spawn(move || send_lines(BufReader::new(source), &sender)).map_err(|why| failed(&name, &why))?;
        Ok(Input { lines, name, length })
    }

    /// The next line; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Line>> {
        self.lines.recv().await.transpose().map_err(|why| failed(&self.name, &why))
    }

    /// How many bytes there are, if that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }
}

fn failed(name: &str, why: &io::Error) -> Error {
    Error::new(ErrorKind::Validation, format!("read lines from {name}: {why}"))
}

/// Until the end, or until nobody wants more.
fn send_lines(mut source: impl BufRead, lines: &mpsc::Sender<io::Result<Line>>) {
    let (mut number, mut in_file, mut up_to) = (0, 0, 0);
    loop {
        let (taken, text) = match read_line(&mut source) {
            Ok((0, _)) => return,
            Ok(line) => line,
            Err(error) => {
                let _nobody_waits = lines.blocking_send(Err(error));
                return;
            }
        };
        in_file += 1;
        up_to += taken;
        if text.as_ref().is_ok_and(|text| text.trim_ascii().is_empty()) {
            continue;
        }
        if lines.blocking_send(Ok(Line { number, in_file, up_to, text })).is_err() {
            return;
        }
        number += 1;
    }
}

/// One line with its end, and how many bytes it took; 0 at the end of the input.
fn read_line(source: &mut impl BufRead) -> io::Result<(u64, std::result::Result<Vec<u8>, TooLong>)> {
    let mut text = Vec::new();
    source.take(LONGEST as u64 + 1).read_until(b'\n', &mut text)?;
    if text.len() <= LONGEST || text.ends_with(b"\n") {
        return Ok((text.len() as u64, Ok(text)));
    }
    let skipped = source.skip_until(b'\n')?;
    Ok(((text.len() + skipped) as u64, Err(TooLong)))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines_of(source: impl Read + Send + 'static) -> Vec<(u64, u64, u64, Option<Vec<u8>>)> {
        let mut input = Input::read("test".into(), None, source).unwrap();
        let mut lines = Vec::new();
        while let Some(line) = input.next().await.unwrap() {
            lines.push((line.number, line.in_file, line.up_to, line.text.ok()));
        }
        lines
    }

    #[tokio::test]
    async fn blank_lines_are_counted_in_the_file_only() {
        let lines = lines_of(&b"{}\n\n \r\n{\"a\":1}"[..]).await;
        assert_eq!(lines, [(0, 1, 3, Some(b"{}\n".to_vec())), (1, 4, 14, Some(b"{\"a\":1}".to_vec()))]);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_skipped_and_the_next_one_is_not() {
        let long = io::repeat(b'x').take(LONGEST as u64 + 10);
        let lines = lines_of(long.chain(&b"\n{}\n"[..])).await;
        assert_eq!(lines[0].3, None);
        assert_eq!(lines[1], (1, 2, LONGEST as u64 + 14, Some(b"{}\n".to_vec())));
    }

    #[tokio::test]
    async fn a_folder_is_not_lines() {
        let mut input = Input::open(Path::new("/")).unwrap();
        let error = input.next().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Validation);
        assert!(error.message().starts_with("read lines from /: "), "{error}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Input::open(Path::new("/no/such/file")).unwrap_err();
        assert!(error.message().contains("/no/such/file: No such file"), "{error}");
    }
}
