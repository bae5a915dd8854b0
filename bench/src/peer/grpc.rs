//! A client of tonic, and a synchronous server of grpcio: one channel to each worker.

use std::path::Path;
use std::time::Instant;

use tonic::Request;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use super::server::{Server, free_port};
use crate::Result;
use crate::contender::Flavour;
use crate::sample::Sample;
use crate::workload::{CHUNKS, IN_FLIGHT, Size, Workload};

/// The messages of `peers/grpc_server.py`, as a generator would write them.
#[derive(Clone, PartialEq, prost::Message)]
struct Small {
    #[prost(int64, tag = "1")]
    id: i64,
    #[prost(string, tag = "2")]
    text: String,
    #[prost(int64, repeated, tag = "3")]
    values: Vec<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Count {
    #[prost(int64, tag = "1")]
    n: i64,
}

pub(super) fn measure(python: &Path, workload: Workload, size: Size) -> Result<Sample> {
    let servers = (0..workload.workers()).map(|_| start(python)).collect::<Result<Vec<_>>>()?;
    let ports: Vec<u16> = servers.iter().map(|(_, port)| *port).collect();
    Flavour::Threads.run(call(ports, workload, size))
}

fn start(python: &Path) -> Result<(Server, u16)> {
    let port = free_port()?;
    let prepare = |command: &mut std::process::Command| {
        command.arg(port.to_string());
    };
    let probe = || Ok(std::net::TcpStream::connect(("127.0.0.1", port))?);
    let (server, _) = Server::start(python, "peers/grpc_server.py", prepare, probe)?;
    Ok((server, port))
}

async fn call(ports: Vec<u16>, workload: Workload, size: Size) -> Result<Sample> {
    let mut clients = Vec::new();
    for port in ports {
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}"))?.tcp_nodelay(true);
        let mut client = Client(Grpc::new(endpoint.connect().await?));
        client.echo(0).await?;
        clients.push(client);
    }
    let first = clients.first_mut().ok_or("no client")?;
    match workload {
        Workload::W1 => echo(first, size).await,
        Workload::W2 => in_flight(&clients, size).await,
        Workload::W3 => Err("not among the peers of W3".into()),
        Workload::W4 => streams(first, size).await,
    }
}

#[derive(Clone)]
struct Client(Grpc<Channel>);

impl Client {
    async fn echo(&mut self, id: i64) -> Result<()> {
        let request = Request::new(Small { id, text: "hello world".to_owned(), values: (1..=8).collect() });
        self.0.ready().await?;
        let path = PathAndQuery::from_static("/bench.Echo/Call");
        let answer = self.0.unary(request, path, ProstCodec::<Small, Small>::default()).await?.into_inner();
        check(&answer, id)
    }

    async fn stream(&mut self) -> Result<Sample> {
        let start = Instant::now();
        self.0.ready().await?;
        let path = PathAndQuery::from_static("/bench.Echo/Ticks");
        let request = Request::new(Count { n: CHUNKS as i64 });
        let answer = self.0.server_streaming(request, path, ProstCodec::<Count, Small>::default()).await?;
        let (mut chunks, mut first, mut came) = (answer.into_inner(), start.elapsed(), 0);
        while let Some(chunk) = chunks.message().await? {
            check(&chunk, came)?;
            if came == 0 {
                first = start.elapsed();
            }
            came += 1;
        }
        let sample = Sample::of_stream(CHUNKS, first, start.elapsed());
        if came == CHUNKS as i64 { Ok(sample) } else { Err(format!("{came} chunks came").into()) }
    }
}

fn check(answer: &Small, id: i64) -> Result<()> {
    if answer.id == id && answer.values.len() == 8 { Ok(()) } else { Err(format!("call {id}: {answer:?}").into()) }
}

async fn echo(client: &mut Client, size: Size) -> Result<Sample> {
    let mut taken = Vec::with_capacity(size.calls);
    for id in 0..(size.warm_up() + size.calls) as i64 {
        let start = Instant::now();
        client.echo(id).await?;
        taken.push(start.elapsed());
    }
    Ok(Sample::of_calls(&taken[size.warm_up()..]))
}

/// A task for each call in flight, half of them to each worker; a fifth of the calls, it being slower.
async fn in_flight(clients: &[Client], size: Size) -> Result<Sample> {
    let calls = size.in_flight / 5 / IN_FLIGHT;
    let caller = |mut client: Client| async move {
        for id in 0..calls as i64 {
            client.echo(id).await?;
        }
        Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    };
    let start = Instant::now();
    let tasks = clients.iter().cycle().take(IN_FLIGHT).map(|client| tokio::spawn(caller(client.clone())));
    for task in tasks.collect::<Vec<_>>() {
        task.await??;
    }
    Ok(Sample::of_rate(calls * IN_FLIGHT, start.elapsed()))
}

async fn streams(client: &mut Client, size: Size) -> Result<Sample> {
    let mut samples = Vec::new();
    for _ in 0..=size.streams {
        samples.push(client.stream().await?);
    }
    Ok(Sample::median(&samples[1..]))
}
