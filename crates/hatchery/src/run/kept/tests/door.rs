//! Who comes to the door besides the next supervisor.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;

use rustix::io::{read, write};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
    connect, sendmsg, socket, socketpair,
};

use super::*;

fn door(scene: &Scene) -> PathBuf {
    let [run] = scene.records()[..] else { panic!("{:?}", scene.records()) };
    scene.data.path().join("runs").join(run.to_string()).join("door")
}

/// Somebody who has come in.
fn caller(scene: &Scene) -> OwnedFd {
    let socket = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
    connect(&socket, &SocketAddrUnix::new(door(scene)).unwrap()).unwrap();
    socket
}

/// The right word, with two sockets of which nobody has the other end.
fn attach_and_die(caller: OwnedFd) {
    let sockets =
        [(); 2].map(|()| socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap().0);
    let fds = sockets.each_ref().map(AsFd::as_fd);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&fds)));
    sendmsg(&caller, &[IoSlice::new(&5u32.to_ne_bytes())], &mut ancillary, SendFlags::NOSIGNAL).unwrap();
}

fn hear(caller: &OwnedFd) -> Vec<u8> {
    let mut buffer = [0; 64];
    let length = read(caller, &mut buffer).unwrap_or(0);
    buffer[..length].to_vec()
}

#[tokio::test]
async fn whoever_says_what_nobody_understands_is_sent_away() {
    let scene = Scene::new();
    scene.killed_host(ECHO);
    for word in [&b"what?"[..], &[5, 0, 0, 0]] {
        let caller = caller(&scene);
        assert_eq!(hear(&caller).len(), 8, "it is welcome");
        write(&caller, word).unwrap();
        assert_eq!(hear(&caller), b"", "{word:?}");
    }
    // One that has sent its sockets and is gone before anybody has answered.
    let caller_that_dies = caller(&scene);
    assert_eq!(hear(&caller_that_dies).len(), 8);
    attach_and_die(caller_that_dies);
    // One that comes and goes, and many who wait for it.
    drop([(); 20].map(|()| caller(&scene)));
    let successor = std::cell::RefCell::new(None);
    until("nobody has it any more", || match scene.only_run().attach().unwrap() {
        Attachment::Attached(taken_over) => successor.replace(Some(taken_over)).is_none(),
        Attachment::Hosted { .. } => false,
        other => panic!("{other:?}"),
    });
    successor.take().unwrap().end().await;
}

#[tokio::test]
async fn another_user_is_not_let_in() {
    if !rustix::process::geteuid().is_root() {
        return println!("not checked: only root becomes another user");
    }
    let scene = Scene::new();
    scene.killed_host(ECHO);
    let door = door(&scene);
    for path in door.ancestors().take(4) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let script = "import os, socket, sys\n\
                  os.setgid(65534); os.setuid(65534)\n\
                  caller = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n\
                  caller.connect(sys.argv[1]); print(len(caller.recv(64)))";
    #[expect(clippy::disallowed_methods, reason = "another user is nobody's worker")]
    let called = Command::new("python3").args(["-c", script]).arg(&door).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&called.stdout), "0\n", "{called:?}");
    for path in door.ancestors().skip(1).take(3) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    }
    scene.attach().end().await;
}

/// Nothing that is held is lost on the way to a supervisor that cannot take it.
#[tokio::test]
async fn a_supervisor_without_descriptors_becomes_none_until_it_has_enough() {
    let scene = Scene::new();
    scene.killed_host(ECHO);
    let mut host = Host::start(scene.data.path(), WITHOUT_DESCRIPTORS, None);
    host.expect("taken over");
    host.wait();
    let successor = scene.attach();
    assert_eq!((successor.input.is_some(), successor.held.len()), (true, 1));
    successor.end().await;
}

#[test]
#[ignore = "the supervisor of another test"]
fn a_host_without_descriptors() {
    let data = PathBuf::from(std::env::var_os(DATA).expect("started by another test"));
    let mut taken: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let mut refusals = 0;
    let taken_over = loop {
        match Kept::find(&place(&data)).and_then(|mut runs| runs.pop().expect("it is there").attach()) {
            Ok(Attachment::Attached(taken_over)) => break taken_over,
            // Its keeper has not seen yet that the last attempt is over.
            Ok(Attachment::Hosted { .. }) => continue,
            Ok(other) => panic!("{other:?}"),
            Err(_) => refusals += 1,
        }
        drop(taken.pop());
    };
    assert!(refusals > 5 && taken_over.input.is_some() && taken_over.held.len() == 1, "{refusals}: {taken_over:?}");
    assert!(taken_over.kept.leave(taken_over.child));
    println!("taken over");
}
