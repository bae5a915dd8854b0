//! Clients that do harm by doing nothing: they ask, and take nothing of the answer, or they do not even ask.

use std::net::SocketAddr;
use std::time::Duration;

use hatchery_grpc::v1;
use hatchery_grpc::v1::hatchery_client::HatcheryClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tonic::transport::{Channel, Endpoint};

const PATIENCE: Duration = Duration::from_secs(60);

/// Each on a connection of its own, which they keep.
pub(super) struct Silent {
    /// Of streams, of which one has a worker until it is cut; of events; of half a request.
    connections: Vec<TcpStream>,
    /// Of events over gRPC.
    feeds: Vec<(HatcheryClient<Channel>, tonic::Streaming<v1::EventsResponse>)>,
}

const STREAM: &str = "POST /v1/pools/default/stream/torrent HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
const EVENTS: &str = "GET /v1/events?kind=tool.event HTTP/1.1\r\nHost: localhost\r\n\r\n";
const HALF: &str = "POST /v1/pools/default/call/nap HTTP/1.1\r\nHost: loc";

/// Of each kind but streams: two of those would have both workers.
const EACH: usize = 8;

impl Silent {
    pub(super) const COUNT: usize = 1 + 3 * EACH;

    pub(super) async fn come(address: SocketAddr) -> Silent {
        let mut connections = vec![said(address, STREAM).await];
        for _ in 0..EACH {
            connections.push(said(address, EVENTS).await);
            connections.push(said(address, HALF).await);
        }
        let mut feeds = Vec::new();
        for _ in 0..EACH {
            feeds.push(listening(address).await);
        }
        Silent { connections, feeds }
    }

    /// Waits until none of them is connected any more, by the daemon's will: it is they who notice.
    pub(super) async fn were_cut(self) {
        let Silent { connections, feeds } = self;
        for mut connection in connections {
            // What had come before is still there to be read.
            let rest = async { tokio::io::copy(&mut connection, &mut tokio::io::sink()).await };
            let _cut_in_whichever_way = tokio::time::timeout(PATIENCE, rest).await.unwrap();
        }
        for (_client, mut feed) in feeds {
            let ended = async { while let Ok(Some(_)) = feed.message().await {} };
            tokio::time::timeout(PATIENCE, ended).await.unwrap();
        }
    }
}

/// Sees that it was heard, where an answer is to come, and reads no further.
async fn said(address: SocketAddr, request: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    if request.ends_with("\r\n\r\n") {
        let mut status = [0; 12];
        tokio::time::timeout(PATIENCE, stream.read_exact(&mut status)).await.unwrap().unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
    }
    stream
}

async fn listening(address: SocketAddr) -> (HatcheryClient<Channel>, tonic::Streaming<v1::EventsResponse>) {
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut client = HatcheryClient::new(channel);
    let wanted = v1::EventsRequest { kinds: vec!["tool.event".into()], ..Default::default() };
    let feed = client.events(wanted).await.unwrap().into_inner();
    (client, feed)
}
