//! What a call costs beside the same call, to the same worker, by a client of tonic that does nothing else. Run by
//! `cargo xtask bench bridge`; what it finds is printed, and no test.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use hatchery::{CallOptions, Payload};
use hatchery_grpc::bridge::arguments;
use hatchery_grpc::bridge::proto::ExecuteToolRequest;
use hatchery_grpc::bridge::proto::bridge_service_client::BridgeServiceClient;
use serde_json::json;
use tonic::transport::{Channel, Endpoint};

use crate::rig::{Rig, app, pool};

const ROUNDS: usize = 20;
const CALLS: usize = 300;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it measures: cargo xtask bench bridge"]
async fn a_call_beside_that_of_a_bare_client() {
    let Some(app) = app("bridge_tools.full.Full") else { return };
    let port = free_port();
    let rig = Rig::of(pool(app.adapter_args(["--port".to_owned(), port.to_string()]))).await;
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap().tcp_nodelay(true);
    let mut bare = Bare(BridgeServiceClient::new(endpoint.connect().await.unwrap()));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // Whoever comes second finds another machine.
        for is_ours in [round % 2 == 0, round % 2 == 1] {
            for _ in 0..CALLS {
                let began = Instant::now();
                if is_ours {
                    ask(&rig).await
                } else {
                    bare.ask().await
                }
                if is_ours { &mut ours } else { &mut theirs }.push(began.elapsed());
            }
        }
    }
    let (ours, theirs) = (quartiles(ours), quartiles(theirs));
    eprintln!("a call, {ROUNDS} rounds of {CALLS} each, in turn; us: 25 %, 50 %, 75 %");
    eprintln!("  bare tonic client  {theirs:?}");
    eprintln!("  hatchery           {ours:?}");
    eprintln!("  ratio of medians   {:.3} (at most 1.1 is asked)", ours[1] / theirs[1]);
    rig.end().await;
}

async fn ask(rig: &Rig) {
    let arguments = Payload::from_json_text(ARGUMENTS).unwrap();
    rig.pool.call_payload("add", arguments, &CallOptions::new()).await.unwrap();
}

const ARGUMENTS: &str = r#"{"a":2,"b":3}"#;

struct Bare(BridgeServiceClient<Channel>);

impl Bare {
    async fn ask(&mut self) {
        let payload = Payload::from_json_text(ARGUMENTS).unwrap();
        let arguments::Arguments { parameters, .. } = arguments::write(&payload, &[]).unwrap();
        let request = ExecuteToolRequest {
            session_id: "bare".into(),
            tool_name: "add".into(),
            parameters,
            ..ExecuteToolRequest::default()
        };
        let answer = self.0.execute_tool(request).await.unwrap().into_inner();
        assert!(answer.success, "{}", json!(answer.error_message));
    }
}

fn quartiles(mut taken: Vec<Duration>) -> [f64; 3] {
    taken.sort();
    [1, 2, 3].map(|quarter| (taken[taken.len() * quarter / 4].as_secs_f64() * 1e7).round() / 10.0)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
