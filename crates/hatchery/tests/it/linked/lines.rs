//! A transport of the tests' own: JSON lines over a Unix socket in a folder of the worker's.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hatchery::{
    Berth, Error, ErrorKind, Later, Launch, LinkedProcess, Payload, ProfileCall, ProfileGraces, ProfileItems,
    ProfileWorker, Result, ToolSpec, Transport, TransportContext,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::{mpsc, watch};

/// Says how often it was prepared for, and keeps what it was told last.
#[derive(Clone, Default)]
pub(super) struct Lines {
    pub(super) prepared: Arc<AtomicU64>,
    pub(super) folders: Arc<Mutex<Vec<PathBuf>>>,
    pub(super) refusal: Option<Error>,
    pub(super) stopped: Arc<Mutex<Vec<ProfileGraces>>>,
}

impl Transport for Lines {
    fn name(&self) -> &str {
        "lines"
    }

    fn prepare(&self, worker: TransportContext) -> Later<'_, Result<Box<dyn Berth>>> {
        Box::pin(async move {
            self.prepared.fetch_add(1, Ordering::SeqCst);
            if let Some(refusal) = &self.refusal {
                return Err(refusal.clone());
            }
            worker.voice.log(hatchery::Level::Info, "a folder is ready");
            let folder = tempfile::tempdir().unwrap();
            self.folders.lock().unwrap().push(folder.path().to_owned());
            Ok(Box::new(Folder { folder, stopped: Arc::clone(&self.stopped) }) as Box<dyn Berth>)
        })
    }
}

struct Folder {
    folder: tempfile::TempDir,
    stopped: Arc<Mutex<Vec<ProfileGraces>>>,
}

impl Berth for Folder {
    fn launch(&self, launch: Launch) -> Launch {
        launch.env("LINKED_SOCKET", self.folder.path().join("socket"))
    }

    fn connect(&self, process: LinkedProcess) -> Later<'_, Result<Arc<dyn ProfileWorker>>> {
        assert!(process.pid > 1);
        Box::pin(async move {
            let stream = loop {
                match UnixStream::connect(self.folder.path().join("socket")).await {
                    Ok(stream) => break stream,
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            };
            Ok(Wire::over(stream, Arc::clone(&self.stopped)) as Arc<dyn ProfileWorker>)
        })
    }
}

type Answers = Arc<Mutex<HashMap<u64, mpsc::UnboundedSender<Value>>>>;

struct Wire {
    writer: tokio::sync::Mutex<OwnedWriteHalf>,
    answers: Answers,
    next: AtomicU64,
    is_over: watch::Sender<bool>,
    reading: tokio::task::AbortHandle,
    stopped: Arc<Mutex<Vec<ProfileGraces>>>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Wire {
    fn over(stream: UnixStream, stopped: Arc<Mutex<Vec<ProfileGraces>>>) -> Arc<Wire> {
        let (reader, writer) = stream.into_split();
        let (answers, is_over) = (Answers::default(), watch::Sender::new(false));
        let (heard, over) = (Arc::clone(&answers), is_over.clone());
        let reading = tokio::spawn(async move {
            let mut lines = BufReader::new(reader).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let message: Value = serde_json::from_str(&line).unwrap();
                if let Some(caller) = heard.lock().unwrap().get(&message["id"].as_u64().unwrap()) {
                    let _given_up = caller.send(message);
                }
            }
            over.send_replace(true);
        });
        Arc::new(Wire {
            writer: tokio::sync::Mutex::new(writer),
            answers,
            next: AtomicU64::new(1),
            is_over,
            reading: reading.abort_handle(),
            stopped,
        })
    }

    async fn ask(&self, tool: &str, args: Value) -> mpsc::UnboundedReceiver<Value> {
        let id = self.next.fetch_add(1, Ordering::SeqCst);
        let (caller, answers) = mpsc::unbounded_channel();
        self.answers.lock().unwrap().insert(id, caller);
        let line = json!({ "id": id, "tool": tool, "args": args }).to_string() + "\n";
        let _hung_up = self.writer.lock().await.write_all(line.as_bytes()).await;
        answers
    }

    async fn answer(answers: &mut mpsc::UnboundedReceiver<Value>) -> Result<Value> {
        let mut answer = answers.recv().await.unwrap();
        match answer["error"].take() {
            Value::String(message) => Err(Error::new(ErrorKind::NotFound, message)),
            _ => Ok(answer),
        }
    }
}

impl ProfileWorker for Wire {
    fn tools(&self) -> Vec<ToolSpec> {
        vec![ToolSpec::new("echo")]
    }

    fn takes_any_tool(&self) -> bool {
        true
    }

    fn execute(&self, call: ProfileCall) -> Later<'_, Result<Payload>> {
        Box::pin(async move {
            let mut answers = self.ask(&call.tool, call.arguments.to_json()?).await;
            Payload::encode(&Wire::answer(&mut answers).await?["result"])
        })
    }

    fn stream(&self, call: ProfileCall, mut items: ProfileItems) -> Later<'_, Result<()>> {
        Box::pin(async move {
            let mut answers = self.ask(&call.tool, call.arguments.to_json()?).await;
            loop {
                let answer = Wire::answer(&mut answers).await?;
                match answer.get("item") {
                    Some(item) => items.send(Payload::encode(item)?).await?,
                    None => return Ok(()),
                }
            }
        })
    }

    fn answers(&self) -> Later<'_, Result<()>> {
        Box::pin(async move {
            let mut answers = self.ask("ping", Value::Null).await;
            Wire::answer(&mut answers).await.map(drop)
        })
    }

    fn ended(&self) -> Later<'_, Error> {
        Box::pin(async move {
            let mut over = self.is_over.subscribe();
            let _over = over.wait_for(|is_over| *is_over).await;
            Error::new(ErrorKind::Protocol, "the socket was closed")
        })
    }

    fn stop(&self, graces: ProfileGraces) -> Later<'_, ()> {
        self.stopped.lock().unwrap().push(graces);
        Box::pin(std::future::ready(()))
    }
}
