//! The least client of HTTP/1.1: one connection kept open, one request at a time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::Result;

/// A connection.
pub(super) struct Client {
    input: BufReader<TcpStream>,
    output: TcpStream,
    line: String,
}

impl Client {
    pub(super) fn connect(port: u16) -> Result<Client> {
        let output = TcpStream::connect(("127.0.0.1", port))?;
        output.set_nodelay(true)?;
        let input = BufReader::with_capacity(1 << 16, output.try_clone()?);
        Ok(Client { input, output, line: String::new() })
    }

    /// The body of the answer.
    pub(super) fn post(&mut self, path: &str, body: &[u8]) -> Result<Vec<u8>> {
        self.send(path, body)?;
        let length = self.head()?.ok_or("an answer without a length")?;
        let mut answer = vec![0; length];
        self.input.read_exact(&mut answer)?;
        Ok(answer)
    }

    /// Sends a request whose answer is a stream of events, and gives each event's data to `take` until it wants no more.
    pub(super) fn events(&mut self, path: &str, body: &[u8], mut take: impl FnMut(&str) -> Result<bool>) -> Result<()> {
        self.send(path, body)?;
        self.head()?;
        loop {
            self.next_line()?;
            // Chunks of the transfer begin and end between events.
            if let Some(data) = self.line.strip_prefix("data:")
                && !take(data.trim())?
            {
                return Ok(());
            }
        }
    }

    fn send(&mut self, path: &str, body: &[u8]) -> Result<()> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        if body.len() > 1 << 16 {
            self.output.write_all(head.as_bytes())?;
            return Ok(self.output.write_all(body)?);
        }
        Ok(self.output.write_all(&[head.as_bytes(), body].concat())?)
    }

    /// Reads the head of an answer; the length of its body, if it names one.
    fn head(&mut self) -> Result<Option<usize>> {
        self.next_line()?;
        let status = self.line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut length = None;
        loop {
            self.next_line()?;
            let line = self.line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = Some(value.trim().parse()?);
            }
        }
        if status == "200" { Ok(length) } else { Err(format!("the server answered with status {status}").into()) }
    }

    fn next_line(&mut self) -> Result<()> {
        self.line.clear();
        match self.input.read_line(&mut self.line)? {
            0 => Err("the server closed the connection".into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Serves one connection: each request is answered with the next text.
    fn serve(answers: &'static [&'static str]) -> (u16, std::thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for answer in answers {
                let mut request = [0; 4096];
                assert!(stream.read(&mut request).unwrap() > 0);
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        (port, server)
    }

    #[test]
    fn answers_come_one_after_another_on_one_connection() {
        let (port, server) = serve(&[
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\ndata: 1\n\ndata:2\n\n\r\n",
            "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n",
        ]);
        let mut client = Client::connect(port).unwrap();
        assert_eq!(client.post("/", b"{}").unwrap(), b"abc");
        let mut seen = Vec::new();
        let take = |data: &str| {
            seen.push(data.to_owned());
            Ok(data != "2")
        };
        client.events("/", b"{}", take).unwrap();
        assert_eq!(seen, ["1", "2"]);
        client.next_line().unwrap();
        client.next_line().unwrap();
        assert_eq!(client.post("/", b"").unwrap_err().to_string(), "the server answered with status 500");
        server.join().unwrap();
    }
}
