//! One template after another: started when it is wanted, watched, ended.

use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::watch;

use super::{Plan, State, Template, TemplateSettings, Upright, Verdict, cold_starts};
use crate::app::Launch;
use crate::call::{Deadline, passed};
use crate::error::{Error, ErrorBody, ErrorKind, Result};
use crate::id::WorkerId;
use crate::process::{Escalation, Spec, Stdio};
use crate::telemetry::{Event, PoolEvent, RunEvent};
use crate::worker::body::Body;
use crate::worker::life::environment;

/// The pause after one that did not come up, or was of no use; twice as long after each that follows.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What it says of its own start, and no more of it.
const LONGEST_REPORT: u64 = 1 << 20;

/// What a template says when it has imported everything.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Report {
    Ready,
    Unfit(String),
    Failed(ErrorBody),
}

/// What ends the life of a template.
enum Fate {
    /// The pool needs none any more.
    Over,
    /// Another one is wanted.
    Renewed,
    Faulty(Error),
    Verdict(Verdict),
    Died,
}

/// The host's.
struct Ends {
    orders: OwnedFd,
    report: pipe::Receiver,
}

type Over<'a> = Pin<&'a mut (dyn Future<Output = ()> + Send)>;

impl Template {
    /// Until the pool needs none any more.
    pub(crate) async fn keep(&self, over: impl Future<Output = ()> + Send) {
        let mut over = std::pin::pin!(over);
        let mut misfortunes = 0;
        loop {
            let launch = tokio::select! {
                biased;
                () = &mut over => return,
                launch = self.wish() => launch,
            };
            self.state.send_replace(State::Starting);
            // What comes from now on is too late for what it imports.
            let mut reloads = self.reloads.subscribe();
            let (fate, was_of_use) = self.live(&launch, over.as_mut(), &mut reloads).await;
            misfortunes = if was_of_use { 0 } else { misfortunes };
            if matches!(fate, Fate::Over) {
                return;
            }
            self.conclude(fate, launch, &mut misfortunes);
        }
    }

    async fn wish(&self) -> Launch {
        let mut state = self.state.subscribe();
        loop {
            if let State::Asked(launch) = &*state.borrow_and_update() {
                return launch.clone();
            }
            if state.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// What holds after one has ended.
    fn conclude(&self, fate: Fate, launch: Launch, misfortunes: &mut u32) {
        let state = match fate {
            Fate::Over | Fate::Died => return,
            Fate::Renewed => return self.wait_for_another(launch),
            Fate::Faulty(error) => State::Faulty(error),
            Fate::Verdict(Verdict::Unfit(reason)) => self.off(reason, None),
            Fate::Verdict(Verdict::Failed(reason)) => {
                let pause = FIRST_PAUSE.saturating_mul(1 << (*misfortunes).min(16)).min(LONGEST_PAUSE);
                *misfortunes += 1;
                self.off(reason, Some(pause))
            }
        };
        self.state.send_replace(state);
    }

    /// Those who wait for the one that was coming up wait on. Whoever asked meanwhile is heard as it is.
    fn wait_for_another(&self, launch: Launch) {
        self.state.send_if_modified(|state| {
            let was_coming = matches!(state, State::Starting);
            if was_coming {
                *state = State::Asked(launch);
            }
            was_coming
        });
    }

    fn off(&self, reason: String, pause: Option<Duration>) -> State {
        self.emitter.emit(cold_starts(&self.pool, reason, pause));
        State::Off(pause.map(|pause| Instant::now() + pause))
    }

    /// From its start to its end, and whether a worker came of it.
    async fn live(&self, launch: &Launch, mut over: Over<'_>, reloads: &mut watch::Receiver<u64>) -> (Fate, bool) {
        let began = Instant::now();
        let (body, ends) = match self.begin(launch).await {
            Ok(begun) => begun,
            Err(error) => return (Fate::Verdict(Verdict::Failed(error.to_string())), false),
        };
        let fate = tokio::select! {
            biased;
            () = over.as_mut() => Some(Fate::Over),
            Ok(()) = reloads.changed() => Some(Fate::Renewed),
            fate = self.come_up(ends.report, began) => fate,
        };
        let (fate, was_of_use) = match fate {
            Some(fate) => (fate, false),
            None => self.serve(&body, ends.orders, launch, over, reloads, began).await,
        };
        (self.bury(body, fate, was_of_use).await, was_of_use)
    }

    async fn begin(&self, launch: &Launch) -> Result<(Body, Ends)> {
        let (orders, its_orders) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(failed("make its socket"))?;
        let (report, its_report) = pipe_with(PipeFlags::CLOEXEC).map_err(failed("make its pipe"))?;
        let report = pipe::Receiver::from_owned_fd(report).map_err(failed("watch its pipe"))?;
        let Plan { settings: TemplateSettings { preload, app, .. }, confinement, .. } = self.plan();
        let settings = serde_json::json!({ "orders": 3, "report": 4, "preload": preload, "app": app });
        let mut env = environment(&self.run, &self.id, launch);
        env.insert("HATCHERY_TEMPLATE".into(), settings.to_string().into());
        let spec = Spec {
            program: launch.program.clone(),
            args: launch.args.clone(),
            env: env.into_iter().collect(),
            cwd: launch.cwd.clone(),
            stdio: Stdio::default(),
            fds: vec![its_orders, its_report],
            confinement,
        };
        let (run, id, pool) = (Arc::clone(&self.run), self.id.clone(), Arc::clone(&self.pool));
        let started = tokio::task::spawn_blocking(move || run.spawn(&id, &pool, spec)).await;
        let spawned = started.map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))??;
        Ok((Body::new(&self.id, &self.emitter, spawned), Ends { orders, report }))
    }

    /// `None`: it is up.
    async fn come_up(&self, report: pipe::Receiver, began: Instant) -> Option<Fate> {
        let deadline = self.plan().patience.and_then(|patience| Deadline::after(began, patience));
        let mut text = Vec::new();
        let mut report = report.take(LONGEST_REPORT);
        tokio::select! {
            // It ends with its last word, or without one.
            read = report.read_to_end(&mut text) => match read.ok().and_then(|_| serde_json::from_slice(&text).ok()) {
                Some(Report::Ready) => None,
                Some(Report::Unfit(why)) => Some(Fate::Verdict(Verdict::Unfit(why))),
                Some(Report::Failed(error)) => Some(Fate::Faulty(error.into())),
                None => Some(Fate::Verdict(Verdict::Failed("it ended before it had imported everything".to_owned()))),
            },
            () = passed(deadline) => Some(Fate::Verdict(Verdict::Failed("it was not ready in time".to_owned()))),
        }
    }

    /// It is up: until it is to end, or has ended. Whether a worker came of it.
    async fn serve(
        &self,
        body: &Body,
        orders: OwnedFd,
        launch: &Launch,
        over: Over<'_>,
        reloads: &mut watch::Receiver<u64>,
        began: Instant,
    ) -> (Fate, bool) {
        let upright = Arc::new(Upright::new(launch.clone(), body.child.forker(orders)));
        let mut said = upright.verdict.subscribe();
        let (pool, pid) = (self.pool.to_string(), body.pid());
        self.emitter.emit(Event::Pool(PoolEvent::TemplateReady { pool, pid, took: began.elapsed() }));
        self.state.send_replace(State::Up(Arc::clone(&upright)));
        let fate = tokio::select! {
            biased;
            () = over => Fate::Over,
            () = body.child.exited() => Fate::Died,
            Ok(()) = reloads.changed() => Fate::Renewed,
            Some(verdict) = async { said.wait_for(Option::is_some).await.ok()?.clone() } => Fate::Verdict(verdict),
        };
        (fate, upright.has_forked.load(Ordering::Relaxed))
    }

    /// Nobody is forked from it any more; what was not adopted yet ends with it. Its workers live on.
    async fn bury(&self, body: Body, fate: Fate, was_of_use: bool) -> Fate {
        self.state.send_if_modified(|state| {
            let was_up = matches!(state, State::Up(_));
            if was_up {
                *state = State::Unasked;
            }
            was_up
        });
        let ended = body.end(&Escalation::AT_ONCE, || ()).await;
        ended.voice.fell_silent();
        let (voice, how) = (Arc::clone(&ended.voice), ended.death.to_string());
        if ended.death.remains.is_none() {
            ended.release();
            self.emitter.emit(Event::Run(RunEvent::Released { worker: WorkerId::template(&self.pool) }));
        }
        match fate {
            Fate::Died => self.mourn(&how, was_of_use),
            Fate::Faulty(error) => Fate::Faulty(error.with_last_output(voice.last_lines())),
            fate => fate,
        }
    }

    /// One that nothing came of is a misfortune; else the next worker asks for another.
    fn mourn(&self, how: &str, was_of_use: bool) -> Fate {
        let reason = format!("its template died: {how}");
        if !was_of_use {
            return Fate::Verdict(Verdict::Failed(reason));
        }
        self.emitter.emit(Event::Pool(PoolEvent::TemplateLost { pool: self.pool.to_string(), reason }));
        Fate::Died
    }
}

fn failed<E: std::fmt::Display>(attempted: &'static str) -> impl Fn(E) -> Error {
    move |error| Error::new(ErrorKind::Internal, format!("{attempted}: {error}"))
}
