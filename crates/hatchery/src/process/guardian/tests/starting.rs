//! From an order to a running program, and every way in which it does not come to that.

use std::io::Write;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use super::*;

const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const EBADF: i32 = 9;
const EACCES: i32 = 13;
const EEXIST: i32 = 17;
const ENOTDIR: i32 = 20;
const EINVAL: i32 = 22;
const ENOSPC: i32 = 28;

#[test]
fn a_program_gets_what_was_ordered_and_nothing_else() {
    under_each_tier(|tier| {
        let mut run = Run::new(tier);
        let (mut output, stdout) = Output::pipe();
        let mut program = Program::sh(1, "echo $GREETING; pwd; cd /proc/self/fd; echo *; ulimit -c; echo $$; cat");
        program = program.writing_to(stdout);
        program.env.push("GREETING=good day");
        program.cwd = "/usr";
        let (reader, writer) = std::io::pipe().unwrap();
        program.fds[0] = reader.into();
        program.fds.push(dev_null());
        let worker = run.try_spawn(&program).unwrap();
        assert_eq!(output.line(), "good day");
        assert_eq!(output.line(), "/usr");
        assert_eq!(output.line(), "0 1 2 3 4", "{tier:?}: the last is the folder that the shell itself reads");
        assert_eq!(output.line(), ulimit("-c"));
        assert_eq!(output.number(), worker.pid, "the guardian's view is the worker's");
        drop(writer);
        assert_readable(&worker.pidfd);
        assert!(matches!(run.end(&worker).1, Fact::Gone { code: 1, status: 0, .. }));
    });
}

#[test]
fn a_worker_leads_a_session_and_has_the_hosts_signals_and_limits() {
    let mut run = Run::new(Tier::Plain);
    let script = "ulimit -n; grep -E '^(SigBlk|SigIgn|CapEff)' /proc/self/status; cat /proc/self/oom_score_adj; read _";
    let (worker, mut output) = run.spawn_ready(1, OnEscape::Kill, script);
    assert_eq!(output.line(), ulimit("-n"));
    for set in ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000"] {
        assert_eq!(output.line(), set);
    }
    assert!(output.line().starts_with("CapEff"));
    assert_eq!(output.line(), fs::read_to_string("/proc/self/oom_score_adj").unwrap().trim());
    let stat = fs::read_to_string(format!("/proc/{}/stat", worker.pid)).unwrap();
    let [_, group, session] =
        stat.rsplit_once(')').unwrap().1.split_whitespace().skip(1).take(3).collect::<Vec<_>>()[..]
    else {
        panic!("{stat}")
    };
    assert_eq!((group, session), (&*worker.pid.to_string(), &*worker.pid.to_string()));
    run.end(&worker);
}

fn ulimit(option: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "the room's own tests do not rest on the room")]
    let output = std::process::Command::new("/bin/sh").args(["-c", &format!("ulimit {option}")]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_failure_names_its_step_and_leaves_nothing() {
    under_each_tier(|tier| {
        let mut run = Run::new(tier);
        let number = std::cell::Cell::new(0);
        let mut expect = |step: Step, errno: i32, change: &dyn Fn(&mut Program<'_>)| {
            number.set(number.get() + 1);
            let mut program = Program::sh(number.get(), "exit 0");
            change(&mut program);
            assert_eq!(run.try_spawn(&program).unwrap_err(), (step, errno), "{tier:?}");
            assert_eq!(run.marked_as(number.get()), [0; 0], "{tier:?}");
        };
        expect(Step::Exec, ENOENT, &|program| program.path = "/no/such/program");
        expect(Step::Exec, EACCES, &|program| program.path = "/etc/passwd");
        expect(Step::Directory, ENOENT, &|program| program.cwd = "/no/such/folder");
        expect(Step::Directory, ENOTDIR, &|program| program.cwd = "/etc/passwd");
        expect(Step::Descriptors, EBADF, &|program| program.order.open_files = 2);
        let worker = run.spawn(99, "read _ </dev/zero");
        assert_eq!(run.try_spawn(&Program::sh(99, "exit 0")).unwrap_err(), (Step::Order, EEXIST));
        run.end(&worker);
    });
}

#[test]
fn an_order_that_contradicts_itself_is_refused() {
    let mut run = Run::new(Tier::Plain);
    let order = |fds, joins, args, strings| Spawn { fds, joins, args, strings, ..Program::sh(1, "").order };
    let strings = |text: &'static str| Strings::Inline(text.as_bytes());
    let orders = [
        order(1, 0, 0, strings("/bin/true\0\0")),
        order(0, 1, 0, strings("/bin/true\0\0")),
        order(0, 0, 1, strings("/bin/true\0\0")),
        order(0, 0, 0, strings("/bin/true\0\0more\0")),
        order(0, 0, 0, strings("/bin/true\0")),
        order(0, 0, 0, strings("/bin/true")),
        order(0, 0, u32::MAX, strings("/bin/true\0\0")),
        order(0, 0, 0, Strings::Memfd { length: 1 }),
    ];
    for order in orders {
        run.order(&Order::Spawn(order), &[]);
        let (step, errno) = run.answer(1).unwrap_err();
        assert!(matches!((step, errno), (Step::Order, EINVAL) | (Step::Memory, _)), "{order:?}: {step:?} {errno}");
    }
    let worker = run.spawn(1, "exit 3");
    assert_readable(&worker.pidfd);
    assert!(matches!(run.end(&worker).1, Fact::Gone { code: 1, status: 3, .. }));
}

#[test]
fn large_strings_travel_in_a_sealed_memfd() {
    let mut run = Run::new(Tier::Plain);
    // One argument may have 128 KiB.
    let large = "x".repeat(100_000);
    let strings = format!("/bin/sh\0\0sh\0-c\0echo ${{#A}} ${{#B}} ${{#C}}\0A={large}\0B={large}\0C={large}\0");
    let (mut output, stdout) = Output::pipe();
    let order = Spawn {
        fds: 2,
        args: 3,
        env: 3,
        strings: Strings::Memfd { length: strings.len() as u64 },
        ..Program::sh(1, "").order
    };
    let open = memfd(&strings, SealFlags::empty());
    run.order(&Order::Spawn(order), &[dev_null().as_fd(), stdout.as_fd(), open.as_fd()]);
    assert_eq!(run.answer(1).unwrap_err(), (Step::Memory, EINVAL), "it could be cut while it is read");
    let sealed = memfd(&strings, SealFlags::SHRINK | SealFlags::WRITE);
    let longer = Spawn { strings: Strings::Memfd { length: strings.len() as u64 + 1 }, ..order };
    run.order(&Order::Spawn(longer), &[dev_null().as_fd(), stdout.as_fd(), sealed.as_fd()]);
    assert_eq!(run.answer(1).unwrap_err(), (Step::Memory, EINVAL), "it is not that long");
    run.order(&Order::Spawn(order), &[dev_null().as_fd(), stdout.as_fd(), sealed.as_fd()]);
    let worker = run.answer(1).unwrap();
    assert_eq!(output.line(), "100000 100000 100000");
    run.end(&worker);
}

fn memfd(text: &str, seals: SealFlags) -> OwnedFd {
    let mut file = fs::File::from(memfd_create("strings", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).unwrap());
    file.write_all(text.as_bytes()).unwrap();
    fcntl_add_seals(&file, seals).unwrap();
    file.into()
}

/// What has ended keeps its place until the host says that it may go.
#[test]
fn a_full_table_refuses_until_somebody_ends() {
    const CAPACITY: u32 = 2048;
    let mut run = Run::new(Tier::Plain);
    let mut workers: Vec<Worker> = (1..=CAPACITY).map(|number| true_worker(&mut run, number).unwrap()).collect();
    assert_eq!(true_worker(&mut run, CAPACITY + 1).unwrap_err(), (Step::Table, ENOSPC));
    let first = workers.swap_remove(0);
    assert_readable(&first.pidfd);
    run.end(&first);
    true_worker(&mut run, CAPACITY + 1).unwrap();
}

/// Where births in a cgroup fail by the kernel's mistake, or may: the folder around the run was killed once, and its
/// count of that differs from the guardian's.
#[test]
fn a_child_that_is_killed_at_birth_is_born_another_way() {
    if let Some(reason) = Tier::Cgroup.why_not() {
        return println!("no cgroup: {reason}");
    }
    let around = CgroupFolder::make().unwrap();
    fs::write(around.path.join("cgroup.kill"), "1").unwrap();
    let (ours, theirs) = seqpacket();
    let cgroup = CgroupFolder::make_in(&around.path).unwrap();
    let mut run = Run::begin(program::start(theirs).unwrap(), ours, Some(cgroup), &pidfd(std::process::id()));
    run.add_guardian(false);
    for (number, on_escape) in [(1, OnEscape::Adopt), (2, OnEscape::Kill)] {
        let (worker, mut output) = run.spawn_ready(number, on_escape, "echo alive; grep ^0: /proc/self/cgroup");
        assert_eq!(output.line(), "alive");
        let place = output.line();
        let (own, leaf) = (run.cgroup_name(), format!("/w0/{number}"));
        assert_eq!(place.ends_with(&(own + &leaf)), on_escape == OnEscape::Kill, "{place}");
        assert_readable(&worker.pidfd);
        assert!(matches!(run.end(&worker).1, Fact::Gone { code: 1, status: 0, .. }));
    }
    drop(run);
    drop(around);
}

fn true_worker(run: &mut Run, number: u32) -> Result<Worker, (Step, i32)> {
    let program = Program { path: "/bin/true", args: vec!["true"], env: Vec::new(), ..Program::sh(number, "") };
    run.try_spawn(&program)
}

#[test]
fn a_worker_becomes_the_user_it_is_to_be_for_good() {
    let mut run = Run::new(Tier::Plain);
    let (mut output, stdout) = Output::pipe();
    let mut program =
        Program::sh(1, "id -u; id -g; id -G; grep NoNewPrivs /proc/self/status; read _").writing_to(stdout);
    program.order.no_new_privileges = true;
    program.order.user = Some((65534, 65533));
    program.fds[0] = std::io::pipe().unwrap().0.into();
    match run.try_spawn(&program) {
        Err(refused) => assert_eq!(refused, (Step::Credentials, EPERM), "only root may do that"),
        Ok(worker) => {
            for expected in ["65534", "65533", "65533", "NoNewPrivs:\t1"] {
                assert_eq!(output.line(), expected);
            }
            run.end(&worker);
        }
    }
}

#[test]
fn a_limit_holds_in_the_worker() {
    let mut run = Run::new(Tier::Plain);
    let (mut output, stdout) = Output::pipe();
    let mut program = Program::sh(1, "ulimit -n; ulimit -Hn; ulimit -v").writing_to(stdout);
    program.order.open_files = 77;
    program.order.address_space = 1 << 30;
    let worker = run.try_spawn(&program).unwrap();
    assert_eq!([output.number(), output.number(), output.number()], [77, 77, 1 << 20]);
    run.end(&worker);
}

#[test]
fn a_worker_writes_itself_into_the_files_it_is_to_join() {
    let mut run = Run::new(Tier::Plain);
    let (mut reader, writer) = std::io::pipe().unwrap();
    let program = Program::sh(1, "exit 0");
    let strings = b"/bin/true\0\0true\0";
    let order = Spawn { fds: 1, joins: 1, args: 1, strings: Strings::Inline(strings), ..program.order };
    run.order(&Order::Spawn(order), &[dev_null().as_fd(), writer.as_fd()]);
    let worker = run.answer(1).unwrap();
    drop(writer);
    let mut written = String::new();
    std::io::Read::read_to_string(&mut reader, &mut written).unwrap();
    assert_eq!(written, "0", "and nobody else holds the file");
    run.end(&worker);
}

/// An order whose child waits for ever before it runs its program: what it is to join is a pipe that is full.
fn order_what_hangs(run: &Run, number: u32) -> std::io::PipeReader {
    let (reader, mut writer) = std::io::pipe().unwrap();
    rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).unwrap();
    while std::io::Write::write(&mut writer, &[0; 4096]).is_ok() {}
    rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::empty()).unwrap();
    let program = Program::sh(number, "exit 0");
    let order = Spawn { fds: 1, joins: 1, args: 1, strings: Strings::Inline(b"/bin/true\0\0true\0"), ..program.order };
    run.order(&Order::Spawn(order), &[dev_null().as_fd(), writer.as_fd()]);
    reader
}

#[test]
fn one_that_does_not_begin_is_given_up_and_the_others_go_on() {
    under_each_tier(|tier| {
        let mut run = Run::new(tier);
        let first = run.spawn(1, "exec sleep 1000");
        let _never_read = order_what_hangs(&run, 2);
        run.order(&Order::End { worker: first.number }, &[]);
        assert_eq!(run.answer(2).unwrap_err(), (Step::Exec, rustix::io::Errno::TIMEDOUT.raw_os_error()));
        assert!(matches!(run.fact(), (Fact::Gone { worker: 1, .. }, None)));
        let third = run.spawn(3, "exit 0");
        run.end(&third);
    });
}

#[test]
fn whoever_waits_for_one_that_does_not_begin_still_sees_its_keeper_die() {
    let mut run = Run::new(Tier::Plain);
    let (first, guardian) = (run.spawn(1, "exec sleep 1000"), guardian_of(&run));
    let _never_read = order_what_hangs(&run, 2);
    let children = || fs::read_to_string(format!("/proc/{guardian}/task/{guardian}/children")).unwrap_or_default();
    until("both were born", || children().split_whitespace().count() == 2);
    let began = Instant::now();
    pidfd_send_signal(&run.keeper.pidfd, Signal::KILL).unwrap();
    assert_readable(&first.pidfd);
    // The time that is promised for everything.
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    run.assert_over();
}

fn guardian_of(run: &Run) -> u32 {
    use std::os::fd::AsRawFd;
    let fd = run.guardian.as_ref().unwrap().as_raw_fd();
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
    text.lines().find_map(|line| line.strip_prefix("Pid:")).unwrap().trim().parse().unwrap()
}
