use hatchery_grpc::v1;
use serde_json::{Value, json};
use tonic::Code;

use super::{client, fails};
use crate::rig::{Rig, basics};

fn read(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap()
}

#[tokio::test]
async fn a_session_is_made_found_listed_and_deleted() {
    let rig = Rig::of(basics()).await;
    let mut client = client(&rig).await;
    let metadata = [("language".to_owned(), r#""de""#.into())].into();
    let wish = v1::CreateSessionRequest { id: "user-7".into(), ttl_seconds: Some(90.0), metadata };
    let made = client.create_session(wish.clone()).await.unwrap().into_inner();
    let session = made.session.unwrap();
    assert_eq!((made.created, session.id.as_str(), session.ttl_seconds), (true, "user-7", Some(90.0)));
    assert_eq!(read(&session.metadata["language"]), "de");
    assert!(!client.create_session(wish).await.unwrap().into_inner().created);
    let nameless = client.create_session(v1::CreateSessionRequest::default()).await.unwrap().into_inner();
    assert_eq!(nameless.session.unwrap().id.len(), 32);
    let page = |after: &str| v1::ListSessionsRequest { limit: 1, after: after.into() };
    let first = client.list_sessions(page("")).await.unwrap().into_inner();
    let next = first.next.unwrap();
    assert_eq!((first.sessions.len(), &first.sessions[0].id), (1, &next));
    let second = client.list_sessions(page(&next)).await.unwrap().into_inner();
    assert_eq!((second.sessions[0].id.as_str(), second.next), ("user-7", None));
    let id = || "user-7".to_owned();
    assert!(client.delete_session(v1::DeleteSessionRequest { id: id() }).await.unwrap().into_inner().deleted);
    let gone = client.get_session(v1::GetSessionRequest { id: id() }).await.unwrap_err();
    let error = fails(&gone, Code::NotFound, "not_found", "no such session");
    assert_eq!(error.details().unwrap()["reason"], "session_not_found");
    fails(
        &client.delete_session(v1::DeleteSessionRequest { id: id() }).await.unwrap_err(),
        Code::NotFound,
        "not_found",
        "",
    );
    let pruned = client.prune_sessions(v1::PruneSessionsRequest {}).await.unwrap().into_inner();
    assert_eq!((pruned.pruned, pruned.remaining), (0, 1));
    rig.end().await;
}

#[tokio::test]
async fn programs_and_facts_are_any_json() {
    let rig = Rig::of(basics()).await;
    let mut client = client(&rig).await;
    client.create_session(v1::CreateSessionRequest { id: "s".into(), ..Default::default() }).await.unwrap();
    let (session, name) = (|| "s".to_owned(), || "p".to_owned());
    let stored = json!({"steps": [1, null, "ü"]});
    let json = stored.to_string();
    client
        .put_program(v1::PutProgramRequest { session: session(), name: name(), json: json.clone().into() })
        .await
        .unwrap();
    let program = client.get_program(v1::GetProgramRequest { session: session(), name: name() }).await.unwrap();
    assert_eq!(read(&program.into_inner().json), stored);
    client.put_metadata(v1::PutMetadataRequest { session: session(), name: name(), json: json.into() }).await.unwrap();
    let fact = client.get_metadata(v1::GetMetadataRequest { session: session(), name: name() }).await.unwrap();
    assert_eq!(read(&fact.into_inner().json), stored);
    let whole =
        client.get_session(v1::GetSessionRequest { id: session() }).await.unwrap().into_inner().session.unwrap();
    assert_eq!((whole.programs, read(&whole.metadata["p"])), (vec![name()], stored));
    let wrong = v1::PutProgramRequest { session: session(), name: name(), json: "{".into() };
    fails(&client.put_program(wrong).await.unwrap_err(), Code::InvalidArgument, "validation", "json: read JSON: EOF");
    let program = v1::DeleteProgramRequest { session: session(), name: name() };
    assert!(client.delete_program(program.clone()).await.unwrap().into_inner().deleted);
    fails(&client.delete_program(program).await.unwrap_err(), Code::NotFound, "not_found", "no program `p`");
    let fact = v1::DeleteMetadataRequest { session: session(), name: name() };
    assert!(client.delete_metadata(fact.clone()).await.unwrap().into_inner().deleted);
    fails(&client.delete_metadata(fact).await.unwrap_err(), Code::NotFound, "not_found", "no metadata `p`");
    let nobody = v1::GetMetadataRequest { session: "nobody".into(), name: name() };
    fails(&client.get_metadata(nobody).await.unwrap_err(), Code::NotFound, "not_found", "nobody");
    rig.end().await;
}
