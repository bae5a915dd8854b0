//! How a life begins: the app's plan, the process, and what is set up around it.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Life, OpenCalls, Seat, told};
use crate::app::{Launch, LaunchContext};
use crate::error::{Error, ErrorKind, Result};
use crate::id::WorkerId;
use crate::process::{Fork, Spawned, Spec, Stdio};
use crate::registry::Entry;
use crate::run::{Run, Unforked};
use crate::telemetry::log;
use crate::transport::{self, HostEnds, Outbox};
use crate::value::Shelf;
use crate::worker::ledger::Ledger;
use crate::worker::loans::Loans;
use crate::worker::reader::Reader;
use crate::worker::template::Upright;
use crate::worker::{Inflight, Stop};

impl Life {
    /// `None`: the pool ended first, and nothing was started.
    pub(super) async fn begin(seat: Arc<Seat>, stop: &mut Stop) -> Result<Option<Life>> {
        let (launch, app) = tokio::select! {
            biased;
            // The app may think for as long as it likes; nobody waits for it then.
            _word = told(stop) => return Ok(None),
            planned = on_a_thread(&seat, plan) => planned??,
        };
        let (ends, mut inherited) = transport::channels(seat.offered())?;
        let ledger = ledger(&seat, &mut inherited);
        let upright = tokio::select! {
            biased;
            _word = told(stop) => return Ok(None),
            upright = template(&seat, &launch) => upright?,
        };
        let spawned = {
            let launch = launch.clone();
            on_a_thread(&seat, move |seat| start(seat, &launch, upright.as_deref(), inherited)).await??
        };
        Ok(Some(Life::around(seat, launch, app, spawned, ends, ledger)))
    }

    /// From here on the child is owned: whatever happens to this value, the process ends with it.
    fn around(
        seat: Arc<Seat>,
        launch: Launch,
        app: String,
        spawned: (Spawned, Entry),
        ends: HostEnds,
        ledger: Option<Ledger>,
    ) -> Life {
        let body = seat.embody(spawned);
        let control_out = Arc::new(ends.control_out);
        let data_out = Arc::new(ends.data_out);
        let mut flushing = flush(&control_out, &data_out);
        let (loans, returned) =
            Loans::new(seat.id.clone(), seat.emitter.clone(), seat.arena.clone(), Arc::clone(&control_out));
        flushing.spawn(Arc::clone(&loans).tell_returns(returned));
        let mut data_in = ends.data_in;
        data_in.look_up_in(Arc::clone(&loans) as Arc<dyn Shelf>);
        let inflight = Arc::new(Inflight::default());
        let (agreed, when_agreed) = watch::channel(None);
        let (finish_reading, finish) = oneshot::channel();
        let reader = Reader {
            seat: Arc::clone(&seat),
            data: data_in,
            inflight: Arc::clone(&inflight),
            loans: Arc::clone(&loans),
            control: Arc::clone(&control_out),
            voice: Arc::clone(&body.voice),
            agreed: when_agreed,
            host_calls: JoinSet::new(),
            ended: Vec::new(),
        };
        let mut reading = JoinSet::new();
        reading.spawn(reader.run(finish));
        let (tell_cancelled, cancelled) = mpsc::unbounded_channel();
        Life {
            seat,
            launch,
            app,
            body,
            born: Instant::now(),
            control_in: ends.control_in,
            control_out,
            data_out,
            open_calls: OpenCalls(inflight),
            ledger,
            loans,
            vitals: Arc::default(),
            agreed,
            reading,
            finish_reading,
            _flushing: flushing,
            cancelled,
            tell_cancelled,
            graces: VecDeque::new(),
        }
    }
}

/// For a worker that runs one call at a time, if the kernel has such memory: without, nothing is sent ahead. It is inherited after
/// the channels.
fn ledger(seat: &Seat, inherited: &mut Vec<OwnedFd>) -> Option<Ledger> {
    let (ledger, theirs) = (seat.config.max_in_flight == 1).then(Ledger::new)?.ok()?;
    inherited.push(theirs);
    Some(ledger)
}

fn flush(control: &Arc<Outbox<UnixStream>>, data: &Arc<Outbox<pipe::Sender>>) -> JoinSet<()> {
    let (control, data) = (Arc::clone(control), Arc::clone(data));
    let mut flushing = JoinSet::new();
    flushing.spawn(async move { control.flush().await });
    flushing.spawn(async move { data.flush().await });
    flushing
}

/// What the app says, who may read files to find it out.
pub(in crate::worker) fn plan(seat: &Seat) -> Result<(Launch, String)> {
    let context = LaunchContext::new(&seat.id, seat.run.id, &seat.pool);
    let launch = seat.app.launch(&LaunchContext {
        threads: seat.config.max_in_flight,
        thread_limits: &seat.config.thread_limits,
        ..context
    })?;
    Ok((launch, seat.app.describe()))
}

/// How many descriptors the wire takes.
const CHANNELS: usize = 3;

/// What the worker is to be forked from, if it can be.
async fn template(seat: &Seat, launch: &Launch) -> Result<Option<Arc<Upright>>> {
    match &seat.template {
        Some(template) if launch.is_forkable => template.upright(launch).await,
        _ => Ok(None),
    }
}

/// Starts the process: a fork of the template, else cold. Blocks for a millisecond or so.
fn start(seat: &Seat, launch: &Launch, upright: Option<&Upright>, inherited: Vec<OwnedFd>) -> Result<(Spawned, Entry)> {
    let mut env = environment(&seat.run, &seat.id, launch);
    env.insert("HATCHERY_WIRE".into(), "3,4,5".into());
    if inherited.len() > CHANNELS {
        env.insert("HATCHERY_LEDGER".into(), (3 + CHANNELS).to_string().into());
    }
    tell_of(seat, launch);
    let env = env.into_iter().collect();
    let fork = Fork { env, fds: inherited, confinement: seat.config.confinement.clone() };
    if let Some(upright) = upright {
        match seat.run.fork(&seat.id, &seat.pool, upright.forker(), &fork, launch) {
            Ok(forked) => {
                upright.served();
                return Ok(forked);
            }
            Err(Unforked::Refused(error)) => return Err(error),
            Err(Unforked::Missed(error)) => upright.missed(&error),
        }
    }
    let Fork { env, fds, confinement } = fork;
    let (program, args, cwd) = (launch.program.clone(), launch.args.clone(), launch.cwd.clone());
    let stdio = Stdio::default();
    seat.run.spawn(&seat.id, &seat.pool, Spec { program, args, env, cwd, stdio, fds, confinement })
}

pub(in crate::worker) fn tell_of(seat: &Seat, launch: &Launch) {
    let words = std::iter::once(launch.program.as_os_str()).chain(launch.args.iter().map(OsString::as_os_str));
    let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
    let names: Vec<_> = launch.env.iter().map(|(name, _)| name.to_string_lossy()).collect();
    log::starting(&seat.id, &words, &names);
}

/// Its ledger, if it is a worker itself, and what its service manager has said to it alone.
const OF_THE_HOST: [&str; 7] =
    ["HATCHERY_LEDGER", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];

/// The host's, the launch's, and what every process of a run is told.
pub(in crate::worker) fn environment(run: &Run, id: &WorkerId, launch: &Launch) -> BTreeMap<OsString, OsString> {
    let mut env: BTreeMap<_, _> = std::env::vars_os().collect();
    // What the host has of these is not this process's.
    for name in OF_THE_HOST {
        env.remove(OsStr::new(name));
    }
    env.extend(launch.env.iter().cloned());
    env.insert("HATCHERY_RUN".into(), run.id.to_string().into());
    env.insert("HATCHERY_WORKER".into(), id.as_str().into());
    env
}

/// Runs what may block.
pub(in crate::worker) async fn on_a_thread<T: Send + 'static>(
    seat: &Arc<Seat>,
    work: impl FnOnce(&Seat) -> T + Send + 'static,
) -> Result<T> {
    let seat = Arc::clone(seat);
    tokio::task::spawn_blocking(move || work(&seat)).await.map_err(|error| {
        // The payload of the panic is the only thing that says what went wrong.
        Error::new(ErrorKind::Internal, format!("the app cannot be started: {error}"))
    })
}
